"""Untrusted bytes in, PCM out: a pool of decoder children and the protocol between them and the parent."""
