"""Audio that a request names instead of carrying: what may be fetched (references) and from where (s3).

No other package opens connections.
"""
