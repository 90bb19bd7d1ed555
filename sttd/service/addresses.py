"""Why a server cannot listen on its address, and which setting to change."""

import errno
import socket
from typing import Final

NO_RIGHT: Final = frozenset({errno.EACCES, errno.EPERM})


def advice(error: OSError, host: str, port: str) -> str:
    """The next step after binding failed. `host`, `port`: the names of the settings."""
    if error.errno == errno.EADDRINUSE:
        return f"stop what listens there, or set {port} (0 takes a free one)"
    if error.errno in NO_RIGHT:
        return f"set {port} to 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"set {host} to an address of this machine"
    return f"set {host} or {port}"
