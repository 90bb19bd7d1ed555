"""Which model call runs next, and on which slot."""
