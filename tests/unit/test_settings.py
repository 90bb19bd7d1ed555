"""Settings come from the environment, are checked at start, and are never quoted in an error."""

import os
from pathlib import Path
from typing import get_args

import pytest
from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES
from pydantic import ValidationError

from sttd.consumer import machine, settings
from sttd.consumer.errors import ExitCode, SettingsError

SECRET = "hunter2-with-signs"


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """The one message about wrong settings."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        settings.load()
    assert error.value.exit_code is ExitCode.SETTINGS
    return error.value.message


def test_every_setting_has_a_default_a_description_and_bounds_that_hold() -> None:
    """The daemon starts with none set; docs/settings.md is made from the descriptions."""
    loaded = settings.load()

    assert loaded.amqp_url.get_secret_value() == "amqp://guest:guest@127.0.0.1:5672/"
    assert (loaded.model, loaded.language, loaded.side_host) == ("base", "ru", "127.0.0.1")
    assert all(field.description for field in settings.Settings.model_fields.values())


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """STTD_<NAME>, empty counting as absent (compose writes empty ones)."""
    monkeypatch.setenv("STTD_SLOTS", "3")
    monkeypatch.setenv("STTD_PREFETCH", "")
    monkeypatch.setenv("STTD_LANGUAGE", "ru_RU.UTF-8")

    loaded = settings.load()

    assert (loaded.effective_slots, loaded.effective_prefetch, loaded.language) == (3, 12, "ru")


def test_settings_are_frozen() -> None:
    """What was printed at start is what holds."""
    with pytest.raises(ValidationError, match="frozen"):
        settings.load().slots = 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STTD_SLOTS", "many-" + SECRET),
        ("STTD_PREFETCH", "0"),
        ("STTD_LANGUAGE", "klingon-" + SECRET),
        ("STTD_TOPOLOGY", SECRET),
        ("STTD_COMPUTE_TYPE", "int4"),
        ("STTD_JOB_SECONDS", "999999"),
        ("STTD_AMQP_URL", f"http://user:{SECRET}@host/"),
        ("STTD_AMQP_URL", f"amqp://user:{SECRET}/x@host/"),
        ("STTD_AMQP_URL", f"amqp://user:{SECRET}#x@host/"),
        ("STTD_AMQP_URL", f"amqp://user:{SECRET}@host:port/"),
        ("STTD_AMQP_URL", "amqp://"),
        ("STTD_AMQP_URL", "amqp://:5672/"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message goes to a log, and the value may be a password in the wrong variable."""
    message = refused(monkeypatch, **{name: value})

    assert name in message
    assert SECRET not in message
    assert "Value error" not in message
    assert "docs/settings.md" in message


def test_the_compute_types_are_those_of_ctranslate2_and_auto() -> None:
    """One that does not exist ends the start with code 2: with 3, a service manager would try it again for ever."""
    assert set(get_args(settings.ComputeType)) == {"auto", *ACCEPTED_MODEL_TYPES}


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start, one list: not a new surprise after each correction."""
    message = refused(monkeypatch, STTD_SLOTS="x", STTD_BEAM_SIZE="99", STTD_LOG_FORMAT="xml")

    assert all(name in message for name in ("STTD_SLOTS", "STTD_BEAM_SIZE", "STTD_LOG_FORMAT"))


@pytest.mark.parametrize(
    "url",
    ["amqp://user:p%2Fss%23@host:5672/vhost", "amqps://user@host/%2f?heartbeat=5", "amqp://[::1]:5672/", "amqp://host"],
)
def test_urls_that_clients_take_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is there for passwords that were not encoded, not to be clever."""
    monkeypatch.setenv("STTD_AMQP_URL", url)

    assert settings.load().amqp_url.get_secret_value() == url


def test_the_password_is_in_no_form_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are printed at start."""
    monkeypatch.setenv("STTD_AMQP_URL", f"amqp://user:{SECRET}@host/")
    loaded = settings.load()

    assert SECRET not in f"{loaded} {loaded!r} {loaded.model_dump()} {loaded.model_dump_json()} {loaded.broker}"
    assert loaded.broker == "host:5672/"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 8),
        ({"cpu.max": ""}, 8),
        ({}, 8),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"membership": "0::/sttd.service\n", "sttd.service/cpu.max": "250000 100000"}, 2),
    ],
)
def test_usable_cores_are_the_affinity_cut_by_the_cgroup(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container with half the machine, a slot per core of the machine would halve the speed of each.

    Both cgroup versions.
    """
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))

    assert machine.usable_cores() == cores


STORE = {
    "STTD_S3_ENDPOINT": "https://store:9000",
    "STTD_S3_ACCESS_KEY": SECRET,
    "STTD_S3_SECRET_KEY": SECRET,
    "STTD_S3_BUCKETS": "voice",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STTD_S3_ENDPOINT", f"https://id:{SECRET}@store"),
        ("STTD_S3_ENDPOINT", f"store:9000/{SECRET}"),
        ("STTD_S3_ENDPOINT", f"https://store/?key={SECRET}"),
        ("STTD_S3_BUCKETS", f"voice,{SECRET}/../x"),
        ("STTD_S3_BUCKETS", "voice//x"),
        ("STTD_S3_BUCKETS", "*"),
    ],
)
def test_a_wrong_address_or_list_of_the_object_store_ends_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ambiguous list would be noticed only by a caller."""
    message = refused(monkeypatch, **STORE | {name: value})

    assert name in message
    assert SECRET not in message


@pytest.mark.parametrize("missing", ["STTD_S3_ACCESS_KEY", "STTD_S3_SECRET_KEY", "STTD_S3_BUCKETS"])
def test_half_an_object_store_ends_the_start(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every reference would be denied, without a reason in the log."""
    message = refused(monkeypatch, **STORE | {missing: ""})

    assert missing in message
    assert message.startswith("STTD_S3_ENDPOINT needs")


def test_a_prefix_ends_with_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`voice/in` allows `voice/in/a` and not `voice/inner/a`."""
    for name, value in (STORE | {"STTD_S3_BUCKETS": "voice/in, music/,notes/a/b/"}).items():
        monkeypatch.setenv(name, value)

    loaded = settings.load()

    assert loaded.allowed_references == [("voice", "in/"), ("music", ""), ("notes", "a/b/")]
    assert SECRET not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STTD_REQUEST_QUEUE", "речь"),
        ("STTD_REQUEST_QUEUE", "x" * 250),
        ("STTD_REQUEST_QUEUE", "amq.mine"),
        ("STTD_REQUEST_QUEUE", "stt.replies"),
        ("STTD_REPLY_QUEUE", "stt.dead"),
        ("STTD_REPLY_QUEUE", "stt.requests.bulk"),
    ],
)
def test_a_queue_that_cannot_be_declared_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Found at the declaring it would be a traceback and a restart, again and again."""
    told = refused(monkeypatch, **{name: value})
    assert name in told
    assert "must" in told
