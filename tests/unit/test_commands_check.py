"""The judgements of `sttd check` one by one, for brokers and machines that are not here."""

import http.server
import os
import re
import socket
import threading
from pathlib import Path

import ctranslate2
import pytest

from sttd.commands.check import host as check_host
from sttd.commands.check import rabbitmq as check_broker
from sttd.commands.check import settings as check_settings
from sttd.commands.check.command import verdict
from sttd.commands.check.line import Line, Status, failed, ok, warning
from sttd.commands.exit_codes import Exit
from sttd.commands.topology.survey import QueueFinding, SurveyState
from sttd.consumer import memory
from sttd.consumer.engine.files.layouts import SIZES
from sttd.consumer.errors import ModelMisconfigured, ModelUnavailable
from sttd.consumer.settings import ComputeType, Settings
from sttd.errands import QueueState
from sttd.settings import ClientSettings, load

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ((3, 9, 29), Status.FAILED),
        ((3, 10, 8), Status.OK),
        ((3, 13, 7), Status.OK),
        ((4, 2, 0), Status.OK),
        ((), Status.WARNING),
    ],
)
def test_rabbitmq_from_3_10_on_is_enough(version: tuple[int, ...], status: Status) -> None:
    """Quorum queues with TTL and at-least-once dead-lettering came with it."""
    line = check_broker.version_line(version)
    assert line.status is status
    assert ("stream_queue" in line.detail) is (version[:2] == (3, 10))


@pytest.mark.parametrize(
    ("version", "largest", "status"),
    [
        ((3, 13, 0), 20 * MIB, Status.OK),
        ((3, 13, 0), 200 * MIB, Status.WARNING),
        ((4, 0, 0), 16 * MIB, Status.OK),
        ((4, 0, 0), 20 * MIB, Status.WARNING),
    ],
)
def test_notes_that_the_broker_would_not_take_are_warned_of(
    version: tuple[int, ...], largest: int, status: Status
) -> None:
    """RabbitMQ 4 takes 16 MiB by default where 3.13 took 128, and callers would meet that first."""
    line = check_broker.message_size_line(version, largest)
    assert line.status is status
    assert (f"max_message_size = {largest}" in line.step) is (status is Status.WARNING)


@pytest.mark.parametrize(("seconds", "status"), [(1200, Status.OK), (1800, Status.WARNING)])
def test_a_job_must_end_before_the_broker_takes_it_away(seconds: float, status: Status) -> None:
    """Else it is done over and over."""
    assert check_broker.timeout_line(seconds).status is status


@pytest.mark.parametrize(
    ("states", "mode", "status", "said"),
    [
        ([SurveyState.OK], "declare", Status.OK, "as they should be"),
        ([SurveyState.OK, SurveyState.MISSING], "declare", Status.OK, "creates them"),
        ([SurveyState.OK, SurveyState.MISSING], "check", Status.FAILED, "missing"),
        ([SurveyState.UNCHECKED], "check", Status.OK, "not checked"),
        ([SurveyState.OK, SurveyState.HIDDEN], "check", Status.WARNING, "may not look at q"),
        ([SurveyState.DIFFERS, SurveyState.MISSING], "declare", Status.FAILED, "queue q: why"),
        ([SurveyState.REFUSED], "declare", Status.FAILED, "queue q: why"),
    ],
)
def test_what_the_queues_are_like_decides_by_who_may_create_them(
    states: list[SurveyState], mode: str, status: Status, said: str
) -> None:
    """A missing queue is no fault where the daemon makes it."""
    line = check_broker.queues_line([QueueFinding("queue", "q", state, "why") for state in states], mode)
    assert (line.status, said in line.detail) == (status, True)
    assert line.code is (Exit.TOPOLOGY if status is Status.FAILED else Exit.FAILED)


@pytest.mark.parametrize(
    ("names", "status", "said"),
    [
        (
            ["STTD_MODEL", "STTD_GATEWAY_PORT", "STTD_TIMEOUT", "STTD_SLOTS"],
            Status.OK,
            "STTD_GATEWAY_PORT, STTD_MODEL, STTD_SLOTS",
        ),
        (["STTD_RABBITMQ_BOT_PASSWORD", "STTD_MEMORY_LIMIT"], Status.OK, "none set"),
        (["STTD_AMPQ_URL"], Status.WARNING, "did you mean STTD_AMQP_URL?"),
        (["STTD_COLOUR"], Status.WARNING, "no part of sttd reads STTD_COLOUR"),
        (["STTD_DECODER_CONTEXT"], Status.WARNING, "no longer read"),
    ],
)
def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(names: list[str], status: Status, said: str) -> None:
    """It changes nothing, and the operator would search for the fault elsewhere."""
    line = check_settings.settings_line(names)
    assert line.status is status
    assert said in f"{line.detail} {line.step}"


def test_settings_are_looked_for_in_the_env_file_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where most operators write them."""
    monkeypatch.setenv("STTD_MODEL", "demo")
    monkeypatch.setitem(ClientSettings.model_config, "env_file", tmp_path / ".env")
    assert check_settings.look(load()).status is Status.OK
    (tmp_path / ".env").write_text("sttd_slot=2\nOTHER=3\n")
    line = check_settings.look(load())
    assert (line.status, "STTD_SLOTS" in line.step) == (Status.WARNING, True)


def test_the_exit_code_is_the_first_failures() -> None:
    """What comes after it often follows from it; warnings do not stop the service."""
    lines = [ok("a", ""), warning("b", "", "c"), failed("c", "", "", Exit.TOPOLOGY), failed("d", "", "", Exit.FAILED)]
    assert verdict(lines) is Exit.TOPOLOGY
    assert verdict(lines[:2]) is Exit.OK


@pytest.mark.parametrize(
    ("features", "status", "said"),
    [
        ({"avx2", "avx512f", "amx_int8"}, Status.OK, "AVX2, AVX-512, AMX"),
        ({"sse4_2"}, Status.WARNING, "no AVX2"),
        (set(), Status.OK, "int8"),
    ],
)
def test_a_cpu_without_avx2_is_warned_of(features: set[str], status: Status, said: str) -> None:
    """Virtual machines often hide it. A system without the figures (ARM) gets no warning."""
    line = check_host.cpu_line(frozenset(features), ["int8"])
    assert (line.status, said in line.detail) == (status, True)


def test_memory_that_is_not_known_is_no_failure() -> None:
    """Not every system has these files."""
    assert check_host.memory_line(Settings(model="demo"), None).status is Status.OK


def test_too_little_memory_and_too_many_slots_are_warned_of() -> None:
    """Both make a host slow or dead later, without an operator at hand."""
    settings = Settings(model="demo", slots=250)
    assert check_host.memory_line(settings, 1024 * MIB).status is Status.WARNING
    assert check_host.memory_line(Settings(model="demo", slots=1), 64 * 1024 * MIB).status is Status.OK
    assert check_host.cores_line(settings).status is Status.WARNING


def test_a_model_that_is_not_here_is_a_warning_and_a_broken_one_a_failure(tmp_path: Path) -> None:
    """The first start downloads the one; nothing but a person mends the other."""
    missing = check_host.model_line(Settings(model="base", model_cache=tmp_path), lambda _: "a source")
    assert (missing.status, "sttd model fetch base" in missing.step) == (Status.WARNING, True)
    assert check_host.model_line(Settings(model=str(tmp_path))).status is Status.FAILED
    assert check_host.model_line(Settings(model="gigantic")).status is Status.FAILED


@pytest.mark.parametrize(("kind", "code"), [(ModelUnavailable, "code 3"), (ModelMisconfigured, "code 2")])
def test_a_model_that_no_source_can_give_is_a_failure(kind: type[ModelUnavailable], code: str, tmp_path: Path) -> None:
    """The start would end for it: "the first start downloads it" would be false."""

    def nowhere(name: str) -> str:
        raise kind(f"model {name!r} is not on this machine; the Hub does not answer: bring it here")

    line = check_host.model_line(Settings(model="small", model_cache=tmp_path), nowhere)
    assert (line.status, line.step) == (Status.FAILED, "bring it here")
    assert code in line.detail


def needed_mib(line: Line) -> int:
    """The first figure of the memory line."""
    found = re.search(r"about ([\d,]+) MiB needed", line.detail)
    assert found is not None
    return int(found[1].replace(",", ""))


def test_the_memory_line_is_about_the_bound_that_the_daemon_logs_before_and_after_the_model_is_fetched(
    tmp_path: Path,
) -> None:
    """With `base` a daemon held 462 MiB when it was loaded; before the fetch nothing was counted."""
    settings = Settings(model="base", model_cache=tmp_path, slots=1)
    logged = memory.bound(settings, 475 * MIB).total // MIB
    before = needed_mib(check_host.memory_line(settings, None))
    (tmp_path / "model.bin").touch()
    os.truncate(tmp_path / "model.bin", 145_000_000)
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (tmp_path / name).touch()
    here = settings.model_copy(update={"model": str(tmp_path)})
    assert before == needed_mib(check_host.memory_line(here, None))
    assert abs(before - logged) <= 50


def test_every_size_is_counted_before_it_is_fetched_and_a_hub_id_is_said_not_to_be(tmp_path: Path) -> None:
    """A figure without the model would be far too low, and nothing would show it."""
    nothing = check_host.memory_line(Settings(model="org/own", model_cache=tmp_path), None)
    assert "and the model org/own" in nothing.detail
    for size in SIZES:
        line = check_host.memory_line(Settings(model=size, model_cache=tmp_path), None)
        assert needed_mib(line) > needed_mib(nothing), size
        assert "not known" not in line.detail


def test_the_memory_line_names_what_lowers_the_bound() -> None:
    """An operator of a small machine learns what to set before the kernel ends the daemon."""
    settings = Settings(model="demo", slots=2, max_audio_seconds=36_000)
    line = check_host.memory_line(settings, 2048 * MIB)
    assert "STTD_MAX_AUDIO_SECONDS" in line.step.split(",")[0]


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        (None, Status.WARNING, "no daemon serves q"),
        (QueueState(waiting=0, consumers=0), Status.WARNING, "no daemon serves q"),
        (QueueState(waiting=7, consumers=0), Status.WARNING, "7 requests wait"),
        (QueueState(waiting=7, consumers=2), Status.OK, "2 daemons"),
    ],
)
def test_a_queue_without_a_daemon_is_warned_of(state: QueueState | None, status: Status, said: str) -> None:
    """What a newcomer asks first: whether anything is at work."""
    line = check_broker.serving_line("q", state)
    assert (line.status, said in line.detail) == (status, True)
    assert ("sttd serve" in line.step) is (status is Status.WARNING)


@pytest.mark.parametrize(("chosen", "status"), [("auto", Status.OK), ("int8", Status.OK), ("float16", Status.FAILED)])
def test_a_compute_type_that_the_device_does_not_support_is_a_failure(
    chosen: ComputeType, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon would end at its start for it."""
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda _: {"int8", "float32"})
    line = check_host.compute_line(Settings(device="cpu", compute_type=chosen))
    assert line.status is status
    assert ("does not support STTD_COMPUTE_TYPE=float16" in line.detail) is (status is Status.FAILED)


class _Health(http.server.BaseHTTPRequestHandler):
    """Answers as a daemon's side port does."""

    def do_GET(self) -> None:
        """Report that all is well."""
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"status": "starting", "model": "whisper-base"}')

    def log_message(self, *_args: object) -> None:
        """Report nothing."""


def test_a_side_port_is_free_a_daemons_or_a_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a daemon at work its port is taken, which is correct: so it is in every container."""
    monkeypatch.setattr(check_host, "ANSWER_SECONDS", 0.3)
    assert check_host.port_line("127.0.0.1", 0).status is Status.OK
    assert "set STTD_SIDE_HOST" in check_host.port_line("0.0..0", 0).step
    with http.server.HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        line = check_host.port_line("127.0.0.1", server.server_port)
        thread.join()
    assert (line.status, "a daemon serves on" in line.detail) == (Status.OK, True)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken: Line = check_host.port_line("127.0.0.1", stranger.getsockname()[1])
    assert (taken.status, "STTD_SIDE_PORT" in taken.step) == (Status.FAILED, True)
