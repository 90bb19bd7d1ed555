"""What is wrong with `.env`, a credentials directory or a setting's name is told by name, reason and next step."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_settings.sources.providers import dotenv
from structlog.testing import capture_logs

from sttd import settings as client
from sttd.consumer import __main__ as daemon_program
from sttd.consumer import settings as daemon
from sttd.errors import SettingsInvalid
from sttd.gateway import __main__ as gateway_program
from sttd.gateway import app as gateway_app
from sttd.gateway import settings as gateway
from sttd.service import setting_names
from sttd.service.http_server import AddressUnusable
from sttd.service.setting_sources import SourcedSettings

SECRET = "hunter2-with-signs"
KINDS: list[type[SourcedSettings]] = [daemon.Settings, client.ClientSettings, gateway.GatewaySettings]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credentials directory, empty."""
    found = tmp_path / "credentials"
    found.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(found))
    return found


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each part looks for a `.env`, not there yet."""
    for kind in KINDS:
        monkeypatch.setitem(kind.model_config, "env_file", str(tmp_path / ".env"))
    return tmp_path / ".env"


def refuse(*_: object, **__: object) -> str:
    """What the system answers where the user has no right; root, who may run this test, has every right."""
    raise PermissionError(13, "Permission denied")


@pytest.fixture(params=["a directory", "no right", "no text"])
def unreadable(request: pytest.FixtureRequest, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file STTD_AMQP_URL that is there and gives no text."""
    path = directory / "STTD_AMQP_URL"
    if request.param == "a directory":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\xfe" + SECRET.encode())
    if request.param == "no right":
        monkeypatch.setattr(Path, "read_text", refuse)
    return path


@pytest.mark.parametrize("program", [daemon_program.main, gateway_program.main])
def test_a_credential_that_cannot_be_read_ends_daemon_and_gateway_with_2_and_its_path(
    program: Callable[[], int], unreadable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the start would go on as `guest`, or end in a traceback."""
    assert program() == 2
    told = capsys.readouterr().err
    assert f"{unreadable} cannot be read (" in told
    assert "Traceback" not in told
    assert SECRET not in told


def test_a_credential_that_cannot_be_read_is_an_error_of_the_clients_settings(unreadable: Path) -> None:
    """A bot handles one family of errors."""
    with pytest.raises(SettingsInvalid, match=f"{unreadable} cannot be read"):
        client.load()


@pytest.mark.parametrize("program", [daemon_program.main, gateway_program.main])
@pytest.mark.parametrize("why", ["no right", "no text"])
def test_an_env_file_that_cannot_be_read_ends_daemon_and_gateway_with_2_and_its_path(
    program: Callable[[], int],
    why: str,
    env_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was written for this program by somebody; passing over it would start with other settings."""
    env_file.write_bytes(b"STTD_MODEL=\xff\n")
    if why == "no right":
        monkeypatch.setattr(dotenv, "dotenv_values", refuse)
    assert program() == 2
    assert f"{env_file} cannot be read (" in capsys.readouterr().err
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        client.load()


def test_a_working_directory_that_was_deleted_is_no_error_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no `.env` in it, and a bot that runs on there finds its settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(client.ClientSettings.model_config, "env_file", ".env")
    monkeypatch.setenv("STTD_AMQP_URL", "amqp://u@h/")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert client.load().broker == "h:5672/"


def test_a_credentials_directory_that_is_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be in it."""
    (tmp_path / "url").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "url"))
    with pytest.raises(SettingsInvalid, match="make it a directory"):
        client.load()


def test_an_empty_credential_counts_as_absent_and_its_name_may_be_in_any_case(directory: Path) -> None:
    """As docs/settings.md says of every setting."""
    (directory / "STTD_AMQP_URL").write_text("\n")
    (directory / "sttd_request_queue").write_text("notes\n")
    loaded = daemon.load()
    assert (loaded.broker, loaded.request_queue) == ("127.0.0.1:5672/", "notes")


@pytest.mark.parametrize("found", ["nothing", "an empty file", "no directory"])
def test_a_credentials_directory_without_the_brokers_address_is_a_warning_of_daemon_and_gateway(
    found: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would be refused as `guest`, and the operator would look for the fault at the broker."""
    if found == "an empty file":
        (directory / "STTD_AMQP_URL").touch()
    if found == "no directory":
        directory.rmdir()
    for said in (daemon.doubts(daemon.load()), gateway.doubts()):
        assert any("STTD_AMQP_URL" in one and str(directory) in one and "guest" in one for one in said)
        assert any("there is no directory" in one for one in said) is (found == "no directory")
    monkeypatch.setenv("STTD_AMQP_URL", "amqp://u@h/")
    if found != "no directory":
        assert daemon.doubts(daemon.load()) == gateway.doubts() == []


def test_every_setting_of_every_part_is_known_and_no_other() -> None:
    """The list stands for settings that a part may not import; one that is missing there would be called misspelt."""
    fields = {name for kind in KINDS for name in kind.model_fields}
    assert {f"STTD_{name.upper()}" for name in fields} == setting_names.READ


@pytest.mark.parametrize("place", ["environment", ".env", "credentials"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("STTD_SLOT", "no part of sttd reads STTD_SLOT: did you mean STTD_SLOTS?"),
        ("STTD_MODLE", "did you mean STTD_MODEL?"),
        ("STTD_GATEWAY_PROT", "did you mean STTD_GATEWAY_PORT?"),
        ("STTD_COLOUR", "no part of sttd reads STTD_COLOUR: all settings: docs/settings.md"),
        ("STTD_DECODER_CONTEXT", "STTD_DECODER_CONTEXT is set and no longer read: "),
    ],
)
def test_what_no_part_reads_is_named_at_the_start_of_daemon_and_gateway_without_its_value(
    name: str, said: str, place: str, env_file: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no effect, and nothing else would show it."""
    monkeypatch.setenv("STTD_AMQP_URL", "amqp://u@h/")
    monkeypatch.setenv("STTD_MEMORY_LIMIT", "2g")  # compose's
    assert daemon.doubts(daemon.load()) == gateway.doubts() == []
    if place == "environment":
        monkeypatch.setenv(name, SECRET)
    elif place == ".env":
        env_file.write_text(f"{name}={SECRET}\n")
    else:
        (directory / name).write_text(SECRET)
    for (sentence,) in (daemon.doubts(daemon.load()), gateway.doubts()):
        assert said in sentence
        assert SECRET not in sentence


def test_the_gateway_logs_its_doubts_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong port it ends there, which is enough here."""
    monkeypatch.setenv("STTD_GATEWAY_HOST", "256.256.256.256")
    monkeypatch.setenv("STTD_SLOT", "2")
    with capture_logs() as lines, pytest.raises(AddressUnusable, match="STTD_GATEWAY_HOST"):
        asyncio.run(gateway_app.serve(gateway.load()))
    assert [line["log_level"] for line in lines if "did you mean STTD_SLOTS" in line["event"]] == ["warning"]
