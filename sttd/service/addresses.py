"""Where a server listens, why it cannot, and which setting to change."""

import errno
import socket
from typing import Any, Final

NO_RIGHT: Final = frozenset({errno.EACCES, errno.EPERM})


def looked_up(host: str, port: int) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]:
    """The first address of a host to listen on, as `socket.getaddrinfo` has it. Raises `OSError`."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except UnicodeError:  # `0.0..0`
        raise socket.gaierror(socket.EAI_NONAME, "no host has such a name") from None


def advice(error: OSError, host: str, port: str) -> str:
    """The next step after binding failed. `host`, `port`: the names of the settings."""
    if error.errno == errno.EADDRINUSE:
        return f"stop what listens there, or set {port} (0 takes a free one)"
    if error.errno in NO_RIGHT:
        return f"set {port} to 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"set {host} to an address of this machine"
    return f"set {host} or {port}"
