"""`make systemd-check` against the units that it starts."""

import os

import pytest

from tools.systemd_check import __main__ as command


def test_without_root_it_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Namespaces and control groups are root's."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert command.main() == 69
    assert capsys.readouterr().err == "cannot be tried here: it needs root\n"


def test_it_finds_what_it_compares_in_the_unit() -> None:
    """A limit in another unit of size, or a program at another place, would make the check fail far from here."""
    unit = (command.SOURCE / "deploy/systemd" / command.DAEMON).read_text(encoding="utf-8")

    assert len(command.LIMIT.findall(unit)) == 1
    assert "ExecStart=/opt/sttd/bin/sttd serve\n" in unit
    assert "EnvironmentFile=-/etc/sttd/sttd.env\n" in unit
