"""The form of a log line, and that no caller can forge one."""

import json
import logging
from typing import Any

import pytest
import structlog

from sttd.service import log

FORGED = 'c-1\n2026-01-01T00:00:00Z [info] request completed\x1b[2J\r\u202e"'
ESCAPED = 'c-1\\n2026-01-01T00:00:00Z [info] request completed\\x1b[2J\\r\\u202e"'


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What went to standard error."""
    return capsys.readouterr().err.splitlines()


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON line."""
    (line,) = lines(capsys)
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_json_line_has_the_sentence_and_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """Collectors find each fact under its own name."""
    log.configure("json", "info")
    with structlog.contextvars.bound_contextvars(correlation_id="c-1", message_id=None):
        structlog.get_logger("x").info("request %s", "completed", action="request_done", seconds=0.5)

    line = told(capsys)
    assert (line["event"], line["action"], line["seconds"], line["level"]) == (
        "request completed",
        "request_done",
        0.5,
        "info",
    )
    assert line["correlation_id"] == "c-1"
    assert "message_id" not in line


@pytest.mark.parametrize("style", ["console", "json"])
def test_an_id_with_control_characters_stays_on_its_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line feed, an escape sequence or a right-to-left mark of a caller must not look like our own text."""
    log.configure(style, "info")
    structlog.get_logger("x").info("about %s", FORGED, correlation_id=FORGED)

    (line,) = lines(capsys)
    assert line.isprintable()
    if style == "json":
        assert json.loads(line)["correlation_id"] == ESCAPED
        assert json.loads(line)["event"] == f"about {ESCAPED}"


def test_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A log is not the place for 255-byte ids, let alone for bodies."""
    log.configure("json", "info")
    structlog.get_logger("x").info("x", correlation_id="c" * 5000)

    assert told(capsys)["correlation_id"] == "c" * log.LONGEST + "..."


@pytest.mark.parametrize("style", ["console", "json"])
def test_an_exception_keeps_its_lines_but_cannot_forge_one(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text may quote a caller: every line of it has a margin, and none has control characters."""
    log.configure(style, "info")
    try:
        raise ValueError(FORGED)
    except ValueError:
        structlog.get_logger("x").exception("a request failed inside the daemon")

    out = lines(capsys)
    assert all(line.isprintable() for line in out)
    if style == "json":
        assert "ValueError: c-1" in json.loads(out[0])["exception"]
        assert len(out) == 1
    else:
        assert all(line.startswith("  | ") for line in out[1:])
        assert any("ValueError: c-1" in line for line in out)


def test_other_libraries_speak_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    """A collector must be able to parse every line of the process."""
    log.configure("json", "info")
    logging.getLogger("a.library").warning("something\nelse %s", "x")

    assert told(capsys)["event"] == "something\\nelse x"


def test_levels_and_noisy_libraries_are_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    """The message of aiormq about a lost connection, with a traceback, repeats our own line."""
    log.configure("json", "warning")
    structlog.get_logger("x").info("not this")
    logging.getLogger("aiormq.connection").error("nor this")
    structlog.get_logger("x").warning("this")

    assert told(capsys)["event"] == "this"


UUID = "824e51f0-6c2b-4c0e-9b3e-0d5a8a9f7c11"


def test_a_console_line_of_what_went_well_is_a_sentence_and_the_start_of_its_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An operator reads what happened and can name the note; two UUIDs and repeated facts are for collectors."""
    log.configure("console", "info")
    with structlog.contextvars.bound_contextvars(correlation_id=UUID, message_id=UUID, lane="stt.requests", attempt=1):
        structlog.get_logger("x").info("note answered in 2.1 s", action="request_done", seconds=2.1, code="ok")

    (line,) = lines(capsys)
    assert "note answered in 2.1 s" in line
    assert UUID[:8] in line
    assert not any(word in line for word in (UUID, "request_done", "seconds", "lane", "code"))


def test_an_id_that_a_bot_chose_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """`chat-1234567` can be searched for; a part of it cannot."""
    log.configure("console", "info")
    structlog.get_logger("x").info("note answered", correlation_id="chat-1234567", message_id=UUID)

    (line,) = lines(capsys)
    assert "chat-1234567" in line
    assert UUID[:8] not in line


def test_a_console_warning_has_its_level_and_the_facts_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What went wrong needs more than its sentence."""
    log.configure("console", "info")
    structlog.get_logger("x").warning("no connection to the broker", action="bus_lost", broker="rabbit:5672")

    (line,) = lines(capsys)
    assert all(part in line for part in ("WARNING", "no connection to the broker", "broker: rabbit:5672"))
    assert "bus_lost" not in line


def test_what_only_collectors_need_is_in_json_and_not_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON stays complete; a person is not shown each inner check."""
    for style in ("console", "json"):
        log.configure(style, "info")
        structlog.get_logger("x").info("publisher is ok", action="health", people=False)

    line = told(capsys)
    assert (line["action"], "people" in line) == ("health", False)
