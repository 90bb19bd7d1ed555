"""Which direct reply-to addresses a broker can have given: each refused one could close a broker's connection."""

import base64

import pytest

from sttd.consumer.bus.direct_address import PREFIX, genuine

KEY = "HuNSVSWQzfzkt7pQJ44FTQ=="
TERM = base64.b64decode("g1h2AA9yZXBseUAxMzM4MzgzNDAAAAPnAAAAAGsHUJc=")


def address(term: bytes, key: str = KEY) -> str:
    """An address with this process id."""
    return f"{PREFIX}{base64.b64encode(term).decode()}.{key}"


@pytest.mark.parametrize(
    "given",
    [
        f"{PREFIX}g1h2AA5yZXBseUAzMTI3NTczMgAAAyEAAAAAawdQhQ==.XU+kuRZ7Pijyhgrr3YjxPQ==",
        f"{PREFIX}g1h2AA5yZXBseUA1NDk5OTczMgAAAtQAAAAAawdTaw==.xMiAUQGJHTLHqdcCthGH+w==",
        address(TERM),
        address(b"\x83gd\x00\x0brabbit@here\x00\x00\x00\x01\x00\x00\x00\x00\x01"),
        address(b"\x83Xw\x0brabbit@here\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"),
    ],
    ids=["3.10.8", "4.0.5", "4.3.6", "an older process id", "a short atom"],
)
def test_what_brokers_give_is_genuine(given: str) -> None:
    """A requester whose address were refused would never get an answer."""
    assert genuine(given)


@pytest.mark.parametrize(
    "made_up",
    [
        "",
        PREFIX,
        f"{PREFIX}X.Y",
        f"{PREFIX}жжж.{KEY}",
        f"{PREFIX}!!!.{KEY}",
        f"{PREFIX}{base64.b64encode(TERM).decode()}",
        address(TERM, ""),
        address(TERM, "!!!"),
        address(TERM, f"{KEY}.x"),
        address(b""),
        address(b"\x83"),
        address(b"hello world"),
        address(b"\x83d\x00\x05hello"),
        address(TERM[:-1]),
        address(TERM + b"zz"),
        address(TERM[1:]),
        f"amq.gen-{base64.b64encode(TERM).decode()}.{KEY}",
    ],
)
def test_what_no_broker_can_decode_is_not(made_up: str) -> None:
    """A check of it, and on some versions a publish, would cost the connection."""
    assert not genuine(made_up)
