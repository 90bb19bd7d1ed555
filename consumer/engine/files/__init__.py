"""Where model files come from and whether they are intact."""
