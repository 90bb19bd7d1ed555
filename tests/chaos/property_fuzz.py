"""Messages with legal, odd and illegal AMQP properties from a seed, and a pipelined publisher that writes them by hand.

Uses nothing of the daemon but the queues' names.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.amqp_raw import (
    APP_ID,
    BASIC,
    BASIC_ACK,
    BASIC_PUBLISH,
    BASIC_RETURN,
    BODY,
    CONNECTION_CLOSE,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CORRELATION_ID,
    EXPIRATION,
    HEADER,
    HEADERS,
    MESSAGE_ID,
    METHOD,
    NESTING,
    NOT_UTF8,
    REPLY_TO,
    TIMESTAMP,
    TYPE,
    USER_ID,
    RawConnection,
    RawMessage,
    Refused,
    long,
    moment,
    nested_tables,
    short,
    table,
)

DELIVERY_MODE, PRIORITY, CLUSTER_ID = 1 << 12, 1 << 11, 1 << 2
CHANNEL_CLOSE = (20, 40)
BASIC_NACK = (60, 120)
FUZZ_EXCHANGE = "fuzz.anything"  # a fanout in front of the request queue: another user's binding with any routing key
FUZZ_REPLIES = "fuzz.replies"
DIRECT = b"amq.rabbitmq.reply-to."  # forged: of no connection
OPTIONS = tuple(
    "language languages task initial-prompt hotwords word-timestamps vad beam-size temperature deadline".split()
)
MARKS = (
    b"sttd-attempt",
    b"sttd-first-seen",
    b"sttd-expires",
    b"sttd-unnamed",
    b"sttd-malformed",
    b"sttd-worker",
    b"x-delivery-count",
)
BODIES = (b"", b"", b"", b"x", b"{}", b'{"audio": ""}', b"OggS", b"RIFF\x00\x00\x00\x00WAVE")


@dataclass(frozen=True)
class Shot:
    """One message and where it is published."""

    message: RawMessage
    exchange: str = ""
    routing_key: bytes = b"stt.requests"

    @property
    def is_request(self) -> bool:
        """Whether the daemon must end it; a message to the control exchange has no end."""
        return self.exchange != "stt.control"


class Generator:
    """Draws shots from a seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._properties: list[tuple[int, float, Callable[[], bytes]]] = [
            (CONTENT_TYPE, 0.3, lambda: short(self._word(b"application/json", b"audio/ogg"))),
            (CONTENT_ENCODING, 0.15, lambda: short(self._word(b"utf-8", b"gzip"))),
            (HEADERS, 0.5, self._headers),
            (
                DELIVERY_MODE,
                0.4,
                lambda: bytes(
                    [self._dice.choice((1, 2)) if self._dice.random() < 0.999 else self._dice.randrange(256)]
                ),
            ),
            (PRIORITY, 0.2, lambda: self._dice.randbytes(1)),
            (CORRELATION_ID, 0.5, lambda: short(self._word(b"1", b"note-7"))),
            (REPLY_TO, 0.5, lambda: short(self._target())),
            (EXPIRATION, 0.1, lambda: short(self._dice.choice((b"0", b"1", b"50", b"60000", b"4294967295")))),
            (MESSAGE_ID, 0.4, lambda: short(self._word(b"same", b"1"))),
            (TIMESTAMP, 0.2, self._timestamp),
            (TYPE, 0.2, lambda: short(self._word(b"stt.transcript.v1", b"t"))),
            (USER_ID, 0.001, lambda: short(self._word(b"guest", b"nobody"))),
            (APP_ID, 0.2, lambda: short(self._word(b"sttd", b"bot"))),
            (CLUSTER_ID, 0.05, lambda: short(self._word(b"", b"c"))),
        ]

    def draw(self) -> Shot:
        dice = self._dice
        flags, payload = 0, b""
        for flag, chance, make in self._properties:
            if dice.random() < chance:
                flags |= flag
                payload += make()
        if dice.random() < 0.001:
            payload = dice.randbytes(len(payload) or 3)
        body = dice.choice(BODIES) if dice.random() < 0.9 else dice.randbytes(dice.randint(0, 60))
        return self._aimed(RawMessage(flags, payload, body))

    def _aimed(self, message: RawMessage) -> Shot:
        chance = self._dice.random()
        if chance < 0.08:
            return Shot(
                message,
                FUZZ_EXCHANGE,
                self._dice.choice((NOT_UTF8, b"", b"\x00", self._dice.randbytes(30), b"k" * 255)),
            )
        if chance < 0.12:
            return Shot(message, "stt.control", b"")
        if chance < 0.22:
            return Shot(message, routing_key=b"stt.requests.bulk")
        if chance < 0.25:
            return Shot(message, routing_key=b"stt.suspect")
        return Shot(message)

    def _word(self, *usual: bytes) -> bytes:
        dice = self._dice
        kind = dice.random()
        if kind < 0.6:
            return dice.choice(usual)
        odd = (
            NOT_UTF8, b"", b"\x00", b"\n\x1b[2J", "ё".encode() * 100, b"a" * 255,
            "\ud800".encode(errors="surrogatepass"), b"\xef\xbf\xbf", dice.randbytes(dice.randint(1, 40)),
        )  # fmt: skip
        return dice.choice(odd)

    def _target(self) -> bytes:
        usual = (FUZZ_REPLIES.encode(),) * 6
        odd = (
            b"stt.requests", b"stt.dead", b"stt.suspect", b"stt.retry.10s", b"stt.replies", b"amq.gen-nobody",
            b"amq.topic", DIRECT + b"x", b"stt.control.x", b"nowhere", b"", NOT_UTF8, b"q" * 255, self._word(b"x"),
        )  # fmt: skip
        return self._dice.choice(usual + odd)

    def _timestamp(self) -> bytes:
        now = 1_764_000_000
        return moment(
            self._dice.choice(
                (0, now, now * 10**3, now * 10**6, now * 10**9, 2**64 - 1, 2**63, self._dice.getrandbits(64))
            )
        )

    def _headers(self) -> bytes:
        if self._dice.random() < 0.004:
            return nested_tables(self._dice.choice((30, 200, NESTING)))
        fields = {self._key(): self._value(0) for _ in range(self._dice.randint(0, 4))}
        if self._dice.random() < 0.002:  # seldom, for the broker itself refuses what is not a list
            fields[self._dice.choice((b"CC", b"BCC"))] = self._dice.choice(
                (b"A" + long(b"S" + long(b"nowhere")), self._value(0))
            )
        return table(fields)

    def _key(self) -> bytes:
        kind = self._dice.random()
        if kind < 0.5:
            return b"stt-" + self._dice.choice(OPTIONS).encode()
        if kind < 0.7:
            return self._dice.choice(MARKS)
        return self._word(b"k", b"x-death", b"user_id", b"content-type")

    def _value(self, depth: int) -> bytes:
        dice = self._dice
        text = self._word(
            b"ru", b"true", b"1", b"5", b"transcribe", b"2030-01-01T00:00:00Z", b"-1", b"1e999", b"9" * 200
        )
        simple = (
            b"t" + dice.choice((b"\x00", b"\x01", b"\xff")), b"b" + dice.randbytes(1), b"B" + dice.randbytes(1),
            b"s" + dice.randbytes(2),
            b"u" + dice.randbytes(2), b"I" + dice.randbytes(4), b"i" + dice.randbytes(4), b"l" + dice.randbytes(8),
            b"d" + struct.pack(">d", dice.uniform(-1e9, 1e9)), b"f" + struct.pack(">f", dice.uniform(-10, 10)),
            b"D" + dice.randbytes(5),
            b"T" + self._timestamp(), b"V", b"x" + long(dice.randbytes(8)), b"S" + long(text), b"S" + long(text),
            b"S" + long(text * 20),
        )  # fmt: skip
        if depth < 3 and dice.random() < 0.15:
            return b"A" + long(b"".join(self._value(depth + 1) for _ in range(dice.randint(0, 3))))
        if depth < 3 and dice.random() < 0.15:
            return b"F" + table({self._key(): self._value(depth + 1) for _ in range(dice.randint(0, 3))})
        return dice.choice(simple)


@dataclass
class Volley:
    """What became of requests: `confirmed`, or `unknown` where the broker refused a neighbour and closed."""

    confirmed: int = 0
    unknown: int = 0
    refused: list[str] = field(default_factory=list)


class Pipeline(RawConnection):
    """Publishes many messages before it reads the answers."""

    def fire(self, shots: list[Shot]) -> tuple[list[bool], str]:
        """Publish all; returns for each whether it was confirmed, and the broker's text if it closed the connection."""
        confirmed = [False] * len(shots)
        try:
            for shot in shots:
                self._write(shot)
            self._collect(confirmed)
        except (Refused, OSError) as error:
            return confirmed, str(error) or type(error).__name__
        return confirmed, ""

    def _write(self, shot: Shot) -> None:
        """Not mandatory: a return would interleave with the confirms."""
        method = (
            struct.pack(">HHH", *BASIC_PUBLISH, 0) + short(shot.exchange.encode()) + short(shot.routing_key) + b"\x00"
        )
        message = shot.message
        head = struct.pack(">HHQH", BASIC, 0, len(message.body), message.property_flags) + message.property_bytes
        frames = [(METHOD, method), (HEADER, head)] + ([(BODY, message.body)] if message.body else [])
        self._socket.sendall(
            b"".join(struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce" for kind, payload in frames)
        )

    def _collect(self, confirmed: list[bool]) -> None:
        first = 0
        while first < len(confirmed):
            payload = self._read(METHOD)
            got = struct.unpack_from(">HH", payload)
            if got in {CONNECTION_CLOSE, CHANNEL_CLOSE}:
                code, size = struct.unpack_from(">HB", payload, 4)
                raise Refused(f"{code} {payload[7 : 7 + size].decode(errors='replace')}")
            assert got in {BASIC_ACK, BASIC_NACK}, got
            assert got != BASIC_RETURN
            tag, multiple = struct.unpack_from(">Q?", payload, 4)
            for number in range(first if multiple else tag - 1, tag):
                confirmed[number] = got == BASIC_ACK
            while first < len(confirmed) and confirmed[first]:
                first += 1
