"""The broker's address: is it one, and how it is shown to people."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

SCHEMES = {"amqp": 5672, "amqps": 5671}
"""With their usual ports."""


def checked(url: SecretStr) -> SecretStr:
    """The same URL. Raises `ValueError`, never with the URL: it holds a password."""
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text quotes what it took for the port: often the end of a password
        usable = False
    if not usable:
        raise ValueError(
            "must be amqp:// or amqps://, as in amqp://user:password@host:port/vhost, with / # ? @ in a password written "
            "as %2F %23 %3F %40"
        )
    return url


def shown(url: SecretStr) -> str:
    """Host, port and vhost: no user, no password."""
    parts = urlsplit(url.get_secret_value())
    return f"{parts.hostname}:{parts.port or SCHEMES[parts.scheme]}{parts.path or '/'}"
