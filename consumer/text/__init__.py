"""What is done to a text after the model: pure functions, no I/O."""
