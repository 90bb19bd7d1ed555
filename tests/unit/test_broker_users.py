"""deploy/rabbitmq/users.py: passwords are drawn once and kept, addresses are in place, hashes are RabbitMQ's."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sttd import settings as client_settings
from sttd.consumer import settings as consumer_settings

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "deploy" / "rabbitmq" / "users.json").read_text(encoding="utf-8"))


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with its directories below `folder`."""
    command = [
        sys.executable,
        str(ROOT / "deploy" / "rabbitmq" / "users.py"),
        words[0],
        "--users",
        str(folder / "users"),
        *words[1:],
    ]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STTD_")}
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)


def written(folder: Path, **environment: str) -> dict[str, Any]:
    """Run `write`, as compose does; returns the definitions."""
    for name in ("users", "definitions", "daemon"):
        (folder / name).mkdir(exist_ok=True)
    done = run(
        folder,
        "write",
        "--definitions",
        str(folder / "definitions"),
        "--url",
        f"daemon={folder / 'daemon'}",
        **environment,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "definitions" / "definitions.json").read_text(encoding="utf-8"))
    return found


def test_a_password_is_drawn_once_and_kept(tmp_path: Path) -> None:
    """A second start must not lock out bots that have the first password."""
    written(tmp_path)
    first = {path.name: path.read_text() for path in (tmp_path / "users").iterdir()}
    written(tmp_path)

    assert {path.name: path.read_text() for path in (tmp_path / "users").iterdir()} == first
    assert first.keys() == TABLE["users"].keys()
    assert len(set(first.values())) == len(first)
    assert min(map(len, first.values())) >= 32


def test_the_operators_own_password_wins(tmp_path: Path) -> None:
    """From `.env`; characters that mean something in an address are escaped."""
    written(tmp_path, STTD_RABBITMQ_BOT_PASSWORD="p/w:1@2", STTD_RABBITMQ_DAEMON_CHECK_PASSWORD="other")

    assert run(tmp_path, "show", "bot").stdout == "amqp://bot:p%2Fw%3A1%402@127.0.0.1:5672/stt\n"
    assert (tmp_path / "users" / "daemon-check").read_text() == "other"


def test_the_broker_gets_hashes_and_no_password(tmp_path: Path) -> None:
    """Salt and SHA-256, as RabbitMQ documents them.

    The broker's user may read the file, the others only their own.
    """
    definitions = written(tmp_path, STTD_RABBITMQ_BOT_PASSWORD="hush")
    (bot,) = (user for user in definitions["users"] if user["name"] == "bot")
    raw = base64.b64decode(bot["password_hash"])

    assert raw[4:] == hashlib.sha256(raw[:4] + b"hush").digest()
    assert "hush" not in json.dumps(definitions)
    assert (tmp_path / "definitions" / "definitions.json").stat().st_mode & 0o777 == 0o644
    for private in (tmp_path / "users" / "bot", tmp_path / "daemon" / "STTD_AMQP_URL"):
        assert private.stat().st_mode & 0o777 == 0o600


def test_daemon_and_client_read_the_address_from_the_credentials_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By file, so that no environment holds the password; the environment wins over the file."""
    written(tmp_path, STTD_RABBITMQ_DAEMON_PASSWORD="hush")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "daemon"))

    address = "amqp://daemon:hush@rabbitmq:5672/stt"
    assert consumer_settings.load().amqp_url.get_secret_value() == address
    assert client_settings.load().amqp_url.get_secret_value() == address
    monkeypatch.setenv("STTD_AMQP_URL", "amqp://elsewhere/")
    assert (
        consumer_settings.load().amqp_url.get_secret_value()
        == client_settings.load().amqp_url.get_secret_value()
        == "amqp://elsewhere/"
    )


def test_show_names_the_users_there_are(tmp_path: Path) -> None:
    """A misspelt name is reported with the right ones."""
    written(tmp_path)
    done = run(tmp_path, "show", "bott")

    assert done.returncode == 1
    assert "bot, daemon" in done.stderr


def test_the_permission_lines_of_the_docs_are_those_that_were_tested() -> None:
    """docs/operations.md shows each line as rabbitmqctl takes it."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^rabbitmqctl set_permissions -p stt (\S+) (.+)$", text, flags=re.MULTILINE))

    assert shown == {
        name: " ".join(f"'{user[right]}'" for right in ("configure", "write", "read"))
        for name, user in TABLE["users"].items()
    }


def test_what_a_crash_has_left_does_not_stop_the_next_start(tmp_path: Path) -> None:
    """In a container each start has the same process id."""
    spec = importlib.util.spec_from_file_location("users", ROOT / "deploy" / "rabbitmq" / "users.py")
    assert spec is not None
    assert spec.loader is not None
    users = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(users)
    (tmp_path / f".{users.URL_FILE}.{os.getpid()}").touch()

    users.put(tmp_path / users.URL_FILE, "amqp://", users.PRIVATE)

    assert (tmp_path / users.URL_FILE).read_text() == "amqp://"
    assert (tmp_path / users.URL_FILE).stat().st_mode & 0o777 == users.PRIVATE
