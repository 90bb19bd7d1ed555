"""The command line `sttd`: one command per file.

The only part of sttd that may import the daemon, and only inside a command.
"""
