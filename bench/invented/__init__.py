"""Nothing invented, measured: words that engines write where nobody speaks, and what marks and drops of ours catch.

Never part of the daemon.
"""
