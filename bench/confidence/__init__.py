"""Confidence, measured: the curves from the model's own figures to the share of right words, and how well they hold.

Never part of the daemon.
"""
