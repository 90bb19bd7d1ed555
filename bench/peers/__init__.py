"""The peers: each a process of its own behind one small protocol.

What runs inside a peer imports nothing of the harness but `host`.
"""
