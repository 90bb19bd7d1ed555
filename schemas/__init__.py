"""The message contract of sttd: what a request may say, what a reply looks like, what the queues are called.

Imports pydantic and nothing else of ours; never does I/O. Bots, the daemon and the gateway all read it.
"""
