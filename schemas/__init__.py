"""The message contract of sttd: the options of a request, the content of a reply, the names of the queues.

Does no I/O. Bots, the daemon and the gateway all read it.
"""
