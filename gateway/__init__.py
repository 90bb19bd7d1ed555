"""HTTP in front of the queue: the old service's contract and an OpenAI-compatible one.

Uses sttd.Client only, nothing of the daemon.
"""
