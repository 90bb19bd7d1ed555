"""Dead letters without a broker: what a requeue publishes, who is meant by a choice, and how things are shown."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sttd.commands import main
from sttd.commands.dead import report as dead_report
from sttd.commands.dead import requeued as dead_copies
from sttd.commands.dead.letters import Choice, Letter
from sttd.commands.dead.requeued import NotPossible
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import harmless

LANES = ("stt.requests", "stt.requests.bulk")


def letter(headers: dict[str, Any] | None = None, *, routing_key: str = "stt.requests", **properties: Any) -> Letter:
    """A dead request."""
    return Letter(routing_key, 3, headers or {}, {"message_id": "m", "correlation_id": "c"} | properties)


def died(reason: str, queue: str, **more: Any) -> dict[str, Any]:
    """Headers as the broker writes them."""
    return {
        "x-death": [
            {"reason": reason, "queue": queue, "time": datetime(2026, 1, 2, tzinfo=UTC), **more},
            {"reason": "older"},
        ]
    }


@pytest.mark.parametrize(
    "wrong",
    [
        "requeue",
        "drop",
        "drop --yes",
        "drop --all x",
        "requeue --all --reason poison",
        "requeue --all --queue stt.replies.dead --reply-to q",
    ],
)
def test_a_choice_must_be_said_and_only_once_before_a_broker_is_asked(wrong: str) -> None:
    """Forgetting the id must not mean all of them."""
    assert CliRunner().invoke(main.build(), ["dead", *wrong.split()]).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("headers", "routing_key", "lane"),
    [
        ({}, "stt.requests", "stt.requests"),
        ({}, "stt.requests.bulk", "stt.requests.bulk"),
        ({}, "stt.dead", None),
        ({"sttd-lane": "stt.requests.bulk"}, "stt.suspect", "stt.requests.bulk"),
        ({"sttd-lane": "amq.direct"}, "stt.suspect", None),
        ({"sttd-lane": ["x"]}, "somewhere", None),
        (died("expired", "stt.requests"), "an own key", "stt.requests"),
    ],
)
def test_a_lane_is_only_ever_one_of_ours(headers: dict[str, Any], routing_key: str, lane: str | None) -> None:
    """Headers and routing keys are what senders chose."""
    assert letter(headers, routing_key=routing_key).lane(LANES) == lane


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "unknown"),
        ({"sttd-reason": "poison"}, "poison"),
        (died("delivery_limit", "stt.requests"), "delivery_limit"),
        (died("rejected", "stt.requests") | {"sttd-reason": "of a retry copy"}, "rejected"),
        ({"x-death": "forged"}, "unknown"),
        ({"sttd-reply-to": "gone"}, "unroutable"),
    ],
)
def test_the_reason_is_the_daemons_or_else_the_brokers(headers: dict[str, Any], reason: str) -> None:
    """What was dead-lettered by the broker itself carries only `x-death`."""
    assert letter(headers).reason == reason


@pytest.mark.parametrize(
    ("headers", "properties", "seen"),
    [
        ({"sttd-first-seen": 1_700_000_000_000}, {}, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ({"sttd-first-seen": 10**30}, {}, None),
        (died("expired", "q"), {}, datetime(2026, 1, 2, tzinfo=UTC)),
        ({}, {"timestamp": datetime(2026, 1, 3)}, datetime(2026, 1, 3, tzinfo=UTC)),  # noqa: DTZ001 - as the library gives it
        ({}, {}, None),
    ],
)
def test_when_it_was_first_seen(headers: dict[str, Any], properties: dict[str, Any], seen: datetime | None) -> None:
    """The daemon's mark, the broker's, or the sender's; nonsense is none of them."""
    assert letter(headers, **properties).seen == seen


def test_the_same_message_is_known_again_although_it_was_looked_at() -> None:
    """Only RabbitMQ's counts change from read to read."""
    once, again = (
        letter({"sttd-reason": "poison", "x-delivery-count": 1}),
        letter({"sttd-reason": "poison", "x-delivery-count": 2}),
    )
    assert once.same(again)
    assert not once.same(letter({"sttd-reason": "timed_out"}))


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(frozenset({"m"})), True),
        (Choice(frozenset({"c"})), True),
        (Choice(frozenset({"x"})), False),
        (Choice(reason="poison"), True),
        (Choice(reason="poison", code="poison"), False),
        (Choice(frozenset({"m"}), reason="timed_out"), False),
    ],
)
def test_a_choice_takes_what_fits_all_of_it(choice: Choice, taken: bool) -> None:
    """Ids, reason and code narrow each other."""
    assert choice.takes(letter({"sttd-reason": "poison", "sttd-error-code": "model_error"})) is taken


def requeued(subject: Letter, **given: Any) -> dead_copies.Fresh:
    """The fresh copy."""
    return dead_copies.request(subject, b"abc", **({"lanes": LANES, "queue": None, "reply_to": None} | given))


def test_a_fresh_copy_has_no_past_and_nothing_that_rabbitmq_acts_on() -> None:
    """Attempts, expiry, x-death, CC: none of it may come along."""
    past = {"sttd-attempt": 4, "sttd-expires": 1, "x-death": [], "CC": ["q"], "BCC": ["q"], "anything": 1}
    asked = {
        "stt-beam-size": 3,
        "stt-temperature": 0.5,
        "stt-vad": False,
        "STT_Task": "translate",
        "stt-languages": ["ru", "en"],
        "stt-odd": {"a": 1},
    }
    fresh = requeued(letter(past | asked, expiration=5.0, user_id="u", priority=3))
    assert fresh.message.headers == {
        "stt-beam-size": "3",
        "stt-temperature": "0.5",
        "stt-vad": False,
        "STT_Task": "translate",
        "stt-languages": "ru,en",
    }
    assert (fresh.message.expiration, fresh.message.user_id, fresh.message.priority) == (None, None, 0)
    assert (fresh.message.message_id, fresh.message.correlation_id, fresh.queue, fresh.warnings) == (
        "m",
        "c",
        "stt.requests",
        (),
    )


def test_a_request_that_had_no_id_of_its_own_gets_the_mark_that_says_so() -> None:
    """The client library always writes an id; the caller's reply must carry none."""
    fresh = requeued(Letter("stt.requests", 3, {}, {}))
    assert fresh.message.headers == {"sttd-unnamed": True}
    assert fresh.message.message_id


def test_what_may_come_to_nothing_is_said_first() -> None:
    """A direct reply-to, a refused target, a deadline in the past: the operator decides."""
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    subject = letter({"sttd-reason": "bad_reply_to", "stt-deadline": past}, reply_to="amq.rabbitmq.reply-to.x")
    assert len(requeued(subject).warnings) == 3
    assert len(requeued(subject, reply_to="mine").warnings) == 1
    assert requeued(subject, reply_to="mine").message.reply_to == "mine"


@pytest.mark.parametrize("deadline", ["1", 1, "2001-01-01T00:00:00+00:00", datetime(2001, 1, 1, tzinfo=UTC)])
def test_a_deadline_is_read_in_every_form_of_the_contract(deadline: Any) -> None:
    """Epoch milliseconds or RFC 3339, as text, number or AMQP timestamp."""
    [doubt] = requeued(letter({"stt-deadline": deadline})).warnings
    assert "expired" in doubt


@pytest.mark.parametrize("deadline", ["", "soon", "9" * 40, 4_102_444_800_000, b"x"])
def test_a_deadline_to_come_or_no_deadline_is_no_doubt(deadline: Any) -> None:
    """Whether it is well-formed is for the daemon to decide."""
    assert requeued(letter({"stt-deadline": deadline})).warnings == ()


def test_what_cannot_be_requeued_says_what_to_do() -> None:
    """Malformed properties stay malformed; another program's lane is not guessed."""
    with pytest.raises(NotPossible, match="--save"):
        requeued(Letter("stt.requests", 3, {}, {}, malformed="ValueError"))
    with pytest.raises(NotPossible, match="--to"):
        requeued(letter(routing_key="elsewhere"))
    with pytest.raises(NotPossible, match="--to"):
        dead_copies.reply(letter(), b"", forbidden=(), queue=None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes() | st.decimals(),
        st.lists,
        max_leaves=5,
    )
)
def test_every_header_value_can_be_shown(value: Any) -> None:
    """AMQP tables hold more than JSON does; any value is shown, and without control characters."""
    text = dead_report.as_json(dead_report.plain({"x": value}))
    assert "x" in json.loads(text)
    assert all(char.isprintable() for char in harmless(str(value)))


def test_amqp_integers_and_decimals_are_plain_numbers_and_text() -> None:
    """The library's own integer type prints its AMQP type letter."""
    assert dead_report.plain({"a": True, "b": 3, "c": Decimal("1.5"), "d": b"\xff"}) == {
        "a": True,
        "b": 3,
        "c": "1.5",
        "d": "ff",
    }


@pytest.mark.parametrize("sign", ["\x9b2J", "\x7f", "\u202e", "\U000e0001"])
def test_json_cannot_write_to_the_terminal_either(sign: str) -> None:
    """JSON escapes what is below a space only; a terminal obeys others too. What a program reads stays the same."""
    shown = dead_report.as_json({"id": f"a{sign}b"})
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert json.loads(shown) == {"id": f"a{sign}b"}
