"""What the check's modules raise."""


class NotSo(Exception):
    """Something is not as it should be."""
