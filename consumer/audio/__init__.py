"""Bytes of strangers in, PCM out: a pool of decoder children and the protocol spoken with them."""
