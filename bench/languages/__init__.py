"""The language of short notes, measured: what `auto` takes for what, and below which probability the default is better.

Never part of the daemon.
"""
