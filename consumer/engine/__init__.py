"""PCM in, segments out: the model, its threads, and who may call it when."""
