"""Numbers as digits, measured: sentences with numbers through the real model, and what `digits` makes of them.

Never part of the daemon.
"""
