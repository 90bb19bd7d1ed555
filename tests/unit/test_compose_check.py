"""`make compose-check` against the files that it starts: no image, volume or setting of theirs is unknown to it."""

import os
import re

import pytest

from tests.support import compose
from tools.compose_check import __main__ as command
from tools.compose_check import bases, bot, engine, steps
from tools.compose_check.errors import NotSo
from tools.compose_check.process import output, wait

PLAIN = {name: service for name, service in compose.services().items() if "profiles" not in service}


def test_every_image_that_a_registry_would_give_has_a_stand_in() -> None:
    """A new base image would otherwise fail far from here, at a pull that is forbidden."""
    dockerfile = (compose.ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    wanted = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) - stages
    wanted |= {service["image"] for name, service in PLAIN.items() if "build" not in service and name != "grafana"}

    assert wanted == {base.image for base in bases.BASES}
    for base in bases.BASES:
        assert f"FROM sttd-root:{base.name}\n" in (bases.IMAGES / f"{base.name}.Dockerfile").read_text(encoding="utf-8")


def test_no_stand_in_says_where_packages_come_from() -> None:
    """Addresses of package indexes and mirrors are each machine's own business."""
    files = [*bases.IMAGES.iterdir(), engine.BOOT, *engine.BOOT.parent.glob("*.py")]
    assert not [
        file.name for file in files if re.search(r"https?://(?!127\.0\.0\.1)", file.read_text(encoding="utf-8"))
    ]


def test_it_knows_every_named_volume() -> None:
    """Whatever else is there after `down` was left behind."""
    assert set(compose.load()["volumes"]) == {*steps.NAMED_VOLUMES, "grafana"}


def test_its_settings_are_those_of_the_documentation() -> None:
    """What was checked is what the page recommends, within the memory that the page says."""
    page = (compose.ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| 4 GB"))

    assert dict(re.findall(r"`(STTD_\w+)=(\w+)`", row)) == command.SMALL
    services = compose.services(command.SMALL)
    together = sum(compose.size(services[name]["mem_limit"]) for name in ("rabbitmq", "consumer", "gateway"))
    assert together <= command.MACHINE


def test_without_root_it_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Namespaces and control groups are root's."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert command.main() == command.EX_UNAVAILABLE
    assert "needs root" in capsys.readouterr().err


def test_a_step_that_is_not_so_ends_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and the reason; a row stands for a step that is done, so it has none."""

    def fails(_folder: object) -> None:
        command.row("first", lambda: "seen")
        command.row("second", lambda: output(["sh", "-c", "echo reason >&2; exit 3"]))

    monkeypatch.setattr(command, "everything", fails)

    assert command.main() == 1
    said = capsys.readouterr()
    assert re.search(r"\| first \| \d+ \| seen \|", said.out)
    assert "| second |" not in said.out
    assert "reason" in said.err


def test_waiting_has_an_end() -> None:
    """A service that never becomes healthy is a failure with the end of its output."""
    with pytest.raises(NotSo, match="no health within 0 s its log"):
        wait(lambda: False, "health", 0, lambda: "its log")


def test_an_answer_counts_once_and_a_missing_one_is_lost() -> None:
    """The sum that the whole check rests on."""
    ledger = bot.Ledger(3)
    for wanted in ("0", "1", "1"):
        ledger.add(wanted, {"status": "completed", "text": "yes"})
    ledger.add("2", {"status": "failed", "error": {"code": "internal"}})

    assert ledger.complete
    assert ledger.report() == {"lost": 0, "double": 1, "texts": {"yes": 3, "internal": 1}}
    assert bot.Ledger(3).report()["lost"] == 3
