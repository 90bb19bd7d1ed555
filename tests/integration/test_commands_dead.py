"""`sttd dead` against a real RabbitMQ: what it shows and sends again, and that nothing else leaves a queue."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
import pytest
from typer.testing import CliRunner

from sttd.commands import main
from sttd.commands.dead import letters as dead_letters
from sttd.commands.exit_codes import Exit
from sttd.consumer.bus import topology
from tests.support.amqp_raw import POISON_PROPERTIES, publish_raw
from tests.support.broker import Broker, External, Message, wait_until
from tests.support.waiting import PATIENCE
from tools.rabbitmq import Node

AUDIO = b"OggS audio"
MARKS = {"sttd-reason": "retries_exhausted", "sttd-error-code": "model_error", "sttd-attempt": 4, "sttd-worker": "w-1"}


QUEUES = ("stt.dead", "stt.replies.dead", "stt.requests", "stt.requests.overflow", "stt.requests.bulk", "stt.replies")


@pytest.fixture(scope="module")
def broker(node: Node | External) -> Iterator[Broker]:
    """One vhost for the file: nine quorum queues take a second to make."""
    with Broker(node) as shared:
        yield shared


@pytest.fixture(autouse=True)
def _empty_queues(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    """The commands use this vhost, where all queues are, and empty."""
    monkeypatch.setenv("STTD_AMQP_URL", broker.amqp_url)
    if {queue["name"] for queue in broker.queues()} < {queue.name for queue in topology.build().queues}:
        assert CliRunner().invoke(main.build(), ["topology", "declare"]).exit_code == Exit.OK
    with broker.connect() as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_purge(queue)
        channel.queue_delete("answers")


def soon(true: Callable[[], bool]) -> bool:
    """Wait until it is so: what a command looked at is put back a moment after the command has ended."""
    return bool(asyncio.run(wait_until(true)))


def run(*args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `sttd dead args`."""
    result = CliRunner().invoke(main.build(), ["dead", *args], env={"COLUMNS": "300"})
    return result.exit_code, result.stdout, result.stderr


def bury(
    broker: Broker, name: str, *, lane: str = "stt.requests", body: bytes = AUDIO, age: int = 0, **more: Any
) -> None:
    """A dead copy as the daemon makes it, `age` seconds old."""
    seen = datetime.now(UTC) - timedelta(seconds=age)
    headers = MARKS | {"sttd-first-seen": int(seen.timestamp() * 1000)} | more.pop("headers", {})
    properties = {"message_id": name, "correlation_id": f"c-{name}", "reply_to": "answers", "app_id": "sttd"} | more
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(
            "stt.dlx", lane, body, pika.BasicProperties(headers=headers, **properties), mandatory=True
        )


def park(broker: Broker, name: str, target: str) -> None:
    """A parked reply as the daemon makes it."""
    headers = {"stt-reply-id": f"r-{name}", "sttd-reply-to": target, "sttd-worker": "w-1"}
    broker.publish(
        "stt.replies.dead",
        b'{"status": "completed"}',
        message_id=name,
        correlation_id=f"c-{name}",
        content_type="application/json",
        type="stt.transcript.v1",
        headers=headers,
        timestamp=1_700_000_000,
    )


def ids(broker: Broker, queue: str) -> set[str]:
    """Message ids in a queue."""
    return {message.properties.message_id for message in broker.get(queue, 100)}


def test_list_shows_the_newest_last_and_leaves_all_of_them(broker: Broker) -> None:
    """Listing is the first and most frequent use; it must be safe, and the newest come first."""
    for age, name in ((10, "middle"), (5, "newest"), (20, "oldest")):
        bury(broker, name, age=age)
    code, out, err = run("list")
    assert code == Exit.OK
    rows = [line for line in out.splitlines() if line.lstrip().startswith("@")]
    assert [row.split()[8] for row in rows] == ["oldest", "middle", "newest"]
    for part in ("retries_exhausted", "model_error", " 4 ", "stt.requests", "c-newest", "10", "w-1"):
        assert part in rows[-1]
    assert "3 of 3 in stt.dead" in err
    assert soon(lambda: broker.depth("stt.dead") == 3)
    told = json.loads(run("list", "--json")[1])
    assert [letter["message_id"] for letter in told] == ["oldest", "middle", "newest"]
    assert {**told[0], "first_seen": None} == {
        "first_seen": None,
        "reason": "retries_exhausted",
        "code": "model_error",
        "attempt": 4,
        "lane": "stt.requests",
        "reply_to": "answers",
        "correlation_id": "c-oldest",
        "message_id": "oldest",
        "bytes": len(AUDIO),
        "worker": "w-1",
    }


def test_list_looks_at_a_bounded_number(broker: Broker) -> None:
    """Thousands of dead voice notes are gigabytes."""
    for number in range(4):
        bury(broker, str(number))
    code, out, err = run("list", "--limit", "2", "--json")
    assert (code, len(json.loads(out))) == (Exit.OK, 2)
    wait_for_depth(broker, "stt.dead", 4)
    assert "2 of 4" in run("list", "--limit", "2")[2]
    assert err == ""
    assert soon(lambda: broker.depth("stt.dead") == 4)


def test_what_the_broker_itself_dead_lettered_has_its_reason_from_the_broker(broker: Broker) -> None:
    """Expired, rejected, over the delivery limit: there the daemon had no chance to write a reason."""
    broker.publish("stt.requests", AUDIO, message_id="late", expiration="1")
    broker.publish("stt.requests.bulk", AUDIO, message_id="refused", headers={"sttd-reason": "forged"})
    with broker.connect() as connection:
        channel = connection.channel()
        method, _, _ = channel.basic_get("stt.requests.bulk")
        channel.basic_reject(method.delivery_tag, requeue=False)
        channel.basic_get("stt.requests")  # quorum queues expire messages when a client asks
    wait_for_depth(broker, "stt.dead", 2)
    told = {letter["message_id"]: letter for letter in json.loads(run("list", "--json")[1])}
    assert (told["late"]["reason"], told["late"]["lane"]) == ("expired", "stt.requests")
    assert (told["refused"]["reason"], told["refused"]["lane"]) == ("rejected", "stt.requests.bulk")
    assert all(letter["first_seen"] for letter in told.values())
    assert run("requeue", "late", "--yes")[0] == Exit.OK
    [fresh] = broker.get("stt.requests")
    assert (fresh.properties.expiration, sent(fresh)) == (None, {})


def sent(message: Message) -> dict[str, Any]:
    """Headers without the count that a quorum queue adds when it is asked."""
    return {name: value for name, value in message.headers.items() if name != "x-delivery-count"}


def wait_for_depth(broker: Broker, queue: str, depth: int) -> None:
    """Dead-lettering is asynchronous."""
    asyncio.run(wait_until(lambda: broker.depth(queue) == depth))


@pytest.mark.parametrize("name", ["a", "c-a", "@2"])
def test_show_tells_everything_but_the_body(broker: Broker, name: str) -> None:
    """By message id, correlation id or position; the audio is a person's voice and goes to a file only."""
    bury(broker, "older", age=9)
    bury(broker, "a", headers={"stt-language": "ru"}, content_type="audio/ogg")
    code, out, _ = run("show", name)
    assert code == Exit.OK
    for part in (
        "retries_exhausted",
        "message_id",
        "c-a",
        "reply_to",
        "answers",
        "audio/ogg",
        "header stt-language",
        "header sttd-worker",
    ):
        assert part in out
    assert AUDIO.decode() not in out
    [told] = json.loads(run("show", name, "--json")[1])
    assert told["properties"]["message_id"] == "a"
    assert told["headers"]["stt-language"] == "ru"
    assert soon(lambda: broker.depth("stt.dead") == 2)


def test_show_saves_the_body_to_a_new_file_only(broker: Broker, tmp_path: Path) -> None:
    """The note can be listened to; no file of the operator's is overwritten."""
    bury(broker, "other", age=9, body=b"other")
    bury(broker, "a")
    path = tmp_path / "note.ogg"
    assert run("show", "a", "--save", str(path))[0] == Exit.OK
    assert path.read_bytes() == AUDIO
    assert soon(lambda: broker.depth("stt.dead") == 2)
    code, _, err = run("show", "other", "--save", str(path))
    assert code == Exit.USAGE
    assert "must not exist" in err
    assert path.read_bytes() == AUDIO
    assert soon(lambda: broker.depth("stt.dead") == 2)


def test_show_of_an_unknown_name_and_of_one_that_is_not_unique(broker: Broker, tmp_path: Path) -> None:
    """Callers count their correlation ids from 1: all with the name are shown, and none is saved by accident."""
    code, out, err = run("show", "nobody")
    assert (code, out) == (Exit.FAILED, "")
    assert "sttd dead list" in err
    bury(broker, "a", correlation_id="1")
    bury(broker, "b", correlation_id="1")
    assert len(json.loads(run("show", "1", "--json")[1])) == 2
    assert soon(lambda: broker.depth("stt.dead") == 2)
    assert run("show", "1", "--save", str(tmp_path / "x"))[0] == Exit.USAGE
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_without_yes_nothing_is_changed(broker: Broker, command: str) -> None:
    """The dry run is the default, and lists what it would do."""
    bury(broker, "a")
    bury(broker, "b")
    code, out, err = run(command, "--all")
    assert code == Exit.OK
    assert [line.split()[:3] for line in out.splitlines()] == [["would", command, "a"], ["would", command, "b"]]
    assert "--yes" in err
    assert soon(lambda: (broker.depth("stt.dead"), broker.depth("stt.requests")) == (2, 0))


def test_requeue_starts_a_request_afresh_in_its_own_lane(broker: Broker) -> None:
    """All of the caller's properties stay.

    Every mark of the daemon goes, and so do headers that RabbitMQ would act on.
    """
    asked = {"stt-language": "ru", "stt-beam-size": 3, "CC": ["stt.replies"], "x-custom": "1"}
    bury(broker, "a", lane="stt.requests.bulk", headers=asked, content_type="audio/ogg", expiration="3600000")
    bury(broker, "stays")
    code, out, _ = run("requeue", "a", "--yes")
    assert code == Exit.OK
    assert "requeued a" in out
    assert "stt.requests.bulk" in out
    assert ids(broker, "stt.dead") == {"stays"}
    [fresh] = broker.take("stt.requests.bulk", 9)
    told = fresh.properties
    assert fresh.body == AUDIO
    assert sent(fresh) == {"stt-language": "ru", "stt-beam-size": "3"}
    assert (told.message_id, told.correlation_id, told.reply_to, told.content_type) == (
        "a",
        "c-a",
        "answers",
        "audio/ogg",
    )
    assert (told.expiration, told.delivery_mode) == (None, 2)
    assert abs(told.timestamp - datetime.now(UTC).timestamp()) < 60
    assert soon(lambda: broker.depth("stt.replies") == broker.depth("stt.requests") == 0)


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (["--all"], set()),
        (["a", "c-c"], {"b"}),
        (["--reason", "poison"], {"a", "b"}),
        (["--code", "model_error"], {"c"}),
        (["--code", "model_error", "a"], {"b", "c"}),
        (["--all", "--limit", "2"], {"c"}),
    ],
)
def test_what_is_chosen_is_dropped_and_the_rest_stays(broker: Broker, chosen: list[str], left: set[str]) -> None:
    """By id, reason, code or all of them; what is given must all fit."""
    bury(broker, "a")
    bury(broker, "b")
    bury(broker, "c", headers={"sttd-reason": "poison", "sttd-error-code": "poison"})
    assert run("drop", *chosen, "--yes")[0] == Exit.OK
    assert ids(broker, "stt.dead") == left


def test_an_id_that_nobody_bears_is_told(broker: Broker) -> None:
    """A typing mistake is no success."""
    bury(broker, "a")
    code, _, err = run("drop", "a", "b", "--yes")
    assert code == Exit.FAILED
    assert "nothing is called b" in err
    assert soon(lambda: broker.depth("stt.dead") == 0)


def test_a_request_of_no_lane_of_ours_stays_until_one_is_named(broker: Broker) -> None:
    """A routing key is the sender's choice: it must not publish with our rights."""
    bury(broker, "a", lane="stt.replies")
    code, _, err = run("requeue", "a", "--yes")
    assert code == Exit.FAILED
    assert "--to" in err
    assert soon(lambda: (broker.depth("stt.dead"), broker.depth("stt.replies")) == (1, 0))
    assert run("requeue", "a", "--to", "stt.requests", "--yes")[0] == Exit.OK
    assert soon(lambda: (broker.depth("stt.dead"), broker.depth("stt.requests")) == (0, 1))


def test_a_request_stays_dead_when_its_lane_is_gone(broker: Broker) -> None:
    """The copy comes first; without it nothing is removed."""
    bury(broker, "a")
    with broker.connect() as connection:
        connection.channel().queue_delete("stt.requests")
    for yes in ([], ["--yes"]):
        code, _, err = run("requeue", "--all", *yes)
        assert code == Exit.FAILED
        assert "there is no queue stt.requests now" in err
    assert soon(lambda: broker.depth("stt.dead") == 1)


def test_a_crash_between_copy_and_removal_leaves_one_too_many(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never one too few: the order is publish, confirm, remove."""

    async def crash(_self: object) -> None:
        raise KeyboardInterrupt

    bury(broker, "a")
    monkeypatch.setattr(dead_letters.Held, "remove", crash)
    code, _, err = run("requeue", "a", "--yes")
    assert code == Exit.INTERRUPTED
    assert "still in its queue" in err
    assert ids(broker, "stt.dead") == ids(broker, "stt.requests") == {"a"}


def test_a_user_who_may_not_publish_loses_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused copy ends the command with the broker's code; the letter stays."""
    bury(broker, "a")
    monkeypatch.setenv("STTD_AMQP_URL", broker.add_user(f"r-{broker.vhost}", "p", configure="^$", write="^$"))
    code, _, err = run("requeue", "a", "--yes")
    assert code == Exit.BROKER
    assert "ACCESS_REFUSED" in err
    assert soon(lambda: broker.depth("stt.dead") == 1)


def test_a_requester_that_cannot_get_his_answer_is_warned_of(broker: Broker) -> None:
    """A request without a caller is worth a line, and another target."""
    bury(broker, "a", reply_to="amq.rabbitmq.reply-to.g1.abc")
    assert "--reply-to" in run("requeue", "a")[2]
    wait_for_depth(broker, "stt.dead", 1)
    assert run("requeue", "a", "--reply-to", "stt.replies", "--yes")[0] == Exit.OK
    [fresh] = broker.get("stt.requests")
    assert fresh.properties.reply_to == "stt.replies"


def test_a_request_without_a_message_id_stays_without_one_for_the_daemon(broker: Broker) -> None:
    """The id on the daemon's copy is not the caller's, and the reply must not carry it."""
    bury(broker, "made-up", headers={"sttd-unnamed": True})
    assert run("requeue", "made-up", "--yes")[0] == Exit.OK
    [fresh] = broker.get("stt.requests")
    assert sent(fresh) == {"sttd-unnamed": True}


def test_properties_that_break_the_library_are_shown_and_cannot_be_sent_again(broker: Broker, tmp_path: Path) -> None:
    """That is where such messages end up; this tool must outlive them and their neighbours."""
    bury(broker, "good")
    for poison in POISON_PROPERTIES.values():
        publish_raw(broker.amqp_url, "stt.dead", AUDIO, *poison)
    total = 1 + len(POISON_PROPERTIES)
    wait_for_depth(broker, "stt.dead", total)
    code, out, _ = run("list")
    assert (code, out.count("malformed")) == (Exit.OK, len(POISON_PROPERTIES))
    wait_for_depth(broker, "stt.dead", total)
    assert run("show", "@1", "--save", str(tmp_path / "a.ogg"))[0] == Exit.OK
    assert (tmp_path / "a.ogg").read_bytes() == AUDIO
    wait_for_depth(broker, "stt.dead", total)
    code, _, err = run("requeue", "--all", "--yes")
    assert code == Exit.FAILED
    assert err.count("properties cannot be read") == len(POISON_PROPERTIES)
    assert soon(lambda: (broker.depth("stt.dead"), broker.depth("stt.requests")) == (len(POISON_PROPERTIES), 1))
    assert run("drop", "--all", "--yes")[0] == Exit.OK
    assert soon(lambda: broker.depth("stt.dead") == 0)


def test_a_routing_key_that_is_no_text_is_read_as_well(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binding of our queue to any exchange can bring such keys in; one would end every read of the queue."""
    encode = pika.spec.data.encode_short_string

    def as_bytes(pieces: list[bytes], value: str) -> int:
        if value != "no text":
            return int(encode(pieces, value))
        pieces.append(b"\x02\xff\xfe")
        return 3

    monkeypatch.setattr(pika.spec.data, "encode_short_string", as_bytes)
    with broker.connect() as connection:
        connection.channel().basic_publish("stt.dlx", "no text", AUDIO, pika.BasicProperties(message_id="odd"))
    bury(broker, "good")
    assert {letter["message_id"] for letter in json.loads(run("list", "--json")[1])} == {"odd", "good"}
    assert run("requeue", "--all", "--yes")[0] == Exit.FAILED
    assert soon(lambda: (ids(broker, "stt.requests"), broker.depth("stt.dead")) == ({"good"}, 1))


def test_a_parked_reply_goes_to_its_queue_once_that_exists_again(broker: Broker) -> None:
    """The work was done; only the reader was away. It keeps its reply id, so that a reader who had it drops it."""
    park(broker, "p", "answers")
    code, out, _ = run("list", "--queue", "stt.replies.dead")
    assert code == Exit.OK
    for part in ("answers", "stt.transcript.v1", "c-p"):
        assert part in out
    wait_for_depth(broker, "stt.replies.dead", 1)
    code, _, err = run("requeue", "--all", "--queue", "stt.replies.dead", "--yes")
    assert code == Exit.FAILED
    assert "there is no queue answers now" in err
    broker.declare("answers")
    wait_for_depth(broker, "stt.replies.dead", 1)
    assert run("requeue", "--all", "--queue", "stt.replies.dead", "--yes")[0] == Exit.OK
    [reply] = broker.get("answers")
    assert reply.body == b'{"status": "completed"}'
    assert reply.headers == {"stt-reply-id": "r-p"}
    told = reply.properties
    assert (told.correlation_id, told.type, told.app_id, told.timestamp) == (
        "c-p",
        "stt.transcript.v1",
        "sttd",
        1_700_000_000,
    )
    assert told.message_id != "p"
    assert soon(lambda: broker.depth("stt.replies.dead") == 0)


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_target_with_a_name_that_the_library_would_not_write_stops_no_other(broker: Broker, yes: list[str]) -> None:
    """RabbitMQ allows every letter, and a bot may write any text into the header: the command ended in a traceback."""
    for name, target in (("one", "ответы"), ("two", "x" * 300), ("three", "answers")):
        park(broker, name, target)
    with broker.connect() as connection:
        for queue in ("ответы", "answers"):
            connection.channel().queue_declare(queue)
    code, out, err = run("requeue", "--all", "--queue", "stt.replies.dead", *yes)
    assert "Traceback" not in err
    assert ("ответы" in out, "answers" in out) == (True, True)
    if yes:
        assert code == Exit.FAILED
        assert "cannot be sent" in err
        assert soon(lambda: broker.depth("stt.replies.dead") == 1)
        assert ids(broker, "stt.replies.dead") == {"two"}
        assert [broker.depth(queue) for queue in ("ответы", "answers")] == [1, 1]
    with broker.connect() as connection:
        for queue in ("ответы", "answers"):
            connection.channel().queue_delete(queue)


@pytest.mark.parametrize("target", ["stt.requests", "stt.dead", "amq.rabbitmq.reply-to.g1"])
def test_a_parked_reply_never_goes_where_no_reply_may_go(broker: Broker, target: str) -> None:
    """Any client may have written that header: a reply among the requests would be transcribed."""
    park(broker, "p", target)
    assert run("requeue", "--all", "--queue", "stt.replies.dead", "--yes")[0] == Exit.FAILED
    assert soon(lambda: broker.depth("stt.replies.dead") == 1)
    assert soon(lambda: broker.depth("stt.requests") == broker.depth("stt.dead") == 0)


def test_ids_cannot_write_to_the_terminal(broker: Broker) -> None:
    """A caller chooses the ids; escape sequences in them would forge lines or move the cursor."""
    bury(broker, "a\x1b[2J\nforged", correlation_id="\x1b]0;x\x07")
    outputs = [run("list")[1], run("show", "@1")[1], run("show", "@1", "--json")[1], *run("drop", "--all")[1:]]
    for text in outputs:
        assert "\x1b" not in text
        assert "\nforged" not in text


def test_a_user_who_may_not_look_is_sent_to_the_permissions(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is as it should be; a bot's user may not read dead letters."""
    bury(broker, "one")
    monkeypatch.setenv("STTD_AMQP_URL", broker.add_user(f"{broker.user}-bot", "x", configure="^$", read="^$"))
    code, _, err = run("list")
    assert code == Exit.BROKER
    assert "permissions in docs/operations.md" in err
    assert "the connection" not in err


@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["show", "@1"], ["drop", "--all", "--yes"]])
def test_an_output_that_cannot_be_written_is_no_fault_of_the_broker(broker: Broker, command: list[str]) -> None:
    """`| head` reads a line and goes; a full disk is on this host. Both were called a broken connection."""
    bury(broker, "one")
    reader, pipe = os.pipe()
    os.close(reader)
    left = told_on(pipe, command)
    full = told_on(os.open("/dev/full", os.O_WRONLY), command)
    assert (left.returncode, full.returncode) == (Exit.OK, Exit.OK if command[0] == "drop" else Exit.FAILED)
    assert "connection" not in left.stderr + full.stderr
    assert command[0] == "drop" or "stdout cannot be written" in full.stderr


def told_on(stdout: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `sttd dead` with this stdout, and close it."""
    program = [sys.executable, "-m", "sttd", "dead", *command]
    done = subprocess.run(program, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    os.close(stdout)
    return done


def test_a_broker_without_the_queue_says_so(broker: Broker) -> None:
    """The wrong vhost has this symptom."""
    with broker.connect() as connection:
        connection.channel().queue_delete("stt.dead")
    code, out, err = run("list")
    assert (code, out) == (Exit.BROKER, "")
    assert "no queue stt.dead" in err


def test_looking_very_often_loses_nothing_on_this_broker(broker: Broker) -> None:
    """RabbitMQ counts reads as deliveries, and a queue with a limit drops what was delivered too often."""
    bury(broker, "a")
    for _ in range(25):
        assert run("list", "--json")[0] == Exit.OK
    assert soon(lambda: broker.depth("stt.dead") == 1)


def test_names_that_are_listed_are_the_topologys_own() -> None:
    """A renamed queue would leave this tool looking into an empty one."""
    assert {"stt.dead", "stt.replies.dead"} <= {queue.name for queue in topology.build().queues}
