"""Tells addresses that RabbitMQ gives for direct reply-to from made-up ones. Pure.

Such an address is a process inside the broker, in Erlang's own encoding. An address that the broker cannot decode
closes the connection that checks it, and on 3.10 and 4.0 the connection that publishes to it (541).
"""

import base64
import binascii

from sttd.schemas import names

PREFIX = f"{names.DIRECT_REPLY_TO}."
# By the tags of Erlang's external term format: how many bytes hold the length of an atom, how many follow it in a
# process id.
_ATOM_LENGTH = {b"v": 2, b"d": 2, b"w": 1, b"s": 1}
_AFTER_ATOM = {b"X": 12, b"g": 9}


def genuine(address: str) -> bool:
    """Whether a broker could have given this address: `PREFIX`, a process id in base64, a dot, a key in base64."""
    process, dot, key = address.removeprefix(PREFIX).partition(".")
    return address.startswith(PREFIX) and bool(dot) and _decoded(key) != b"" and _is_process(_decoded(process))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""


def _is_process(term: bytes) -> bool:
    version, kind, atom = term[:1], term[1:2], term[2:3]
    if version != b"\x83" or kind not in _AFTER_ATOM or atom not in _ATOM_LENGTH:
        return False
    start = 3 + _ATOM_LENGTH[atom]
    return len(term) == start + int.from_bytes(term[3:start]) + _AFTER_ATOM[kind]
