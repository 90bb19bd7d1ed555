"""The operator's words, measured: how much the error on listed names falls, and what the list costs elsewhere.

Never part of the daemon.
"""
