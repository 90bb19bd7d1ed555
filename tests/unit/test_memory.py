"""The bound that is printed at start: every part follows its setting, and the whole is the sum."""

from pathlib import Path
from typing import Any

import pytest

from sttd.consumer import machine, memory
from sttd.consumer.audio.limits import MIB
from sttd.consumer.settings import Settings

STORE = {"s3_endpoint": "https://store:9000", "s3_access_key": "id", "s3_secret_key": "secret", "s3_buckets": "voice"}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` is read."""
    monkeypatch.chdir(tmp_path)


def settings(**given: Any) -> Settings:
    """The defaults of a two-slot machine but for what is given."""
    return Settings(**{"slots": 2, "worker": "w", **given})


def test_the_whole_is_the_sum_of_its_parts() -> None:
    """Nothing is counted that is not printed."""
    bound = memory.bound(settings(), 500 * MIB)
    printed = bound.in_mib()
    total = printed.pop("total_mib")
    assert bound.total // MIB <= total <= sum(printed.values())
    parts = {"loaded", "bodies", "short_notes", "long_audio", "model_calls", "decoders"}
    assert set(printed) == {f"{part}_mib" for part in parts}


@pytest.mark.parametrize(
    ("given", "grows"),
    [
        ({"max_audio_seconds": 7200}, {"long_audio"}),
        ({"max_body_bytes": 40 * MIB}, {"bodies", "decoders"}),
        ({"prefetch": 40}, {"bodies", "short_notes"}),
        ({**STORE, "max_ref_bytes": 10 * MIB}, set()),
        ({**STORE, "max_ref_bytes": 40 * MIB}, {"bodies", "decoders"}),
        ({"max_ref_bytes": 40 * MIB}, set()),
        ({"slots": 4, "prefetch": 4}, {"model_calls", "decoders"}),
    ],
    ids=[
        "longest audio",
        "largest body",
        "prefetch",
        "small references",
        "large references",
        "references that are off",
        "slots",
    ],
)
def test_each_part_grows_with_its_settings_and_with_no_other(given: dict[str, Any], grows: set[str]) -> None:
    """An operator sees which setting to turn down."""
    small, large = memory.bound(settings(prefetch=8), MIB), memory.bound(settings(**{"prefetch": 8, **given}), MIB)
    assert {part for part in small.__slots__ if getattr(small, part) < getattr(large, part)} == grows


def test_eight_long_files_take_no_more_than_one_of_the_longest() -> None:
    """The room for long audio is shared: its part does not depend on how many are in hand."""
    assert memory.bound(settings(prefetch=8), 0).long_audio == memory.bound(settings(prefetch=80), 0).long_audio


def test_what_the_process_holds_now_is_read_from_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound starts from what model and libraries really took."""
    status = tmp_path / "status"
    status.write_text("Name:\tsttd\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n")
    monkeypatch.setattr(machine, "STATUS", status)
    held = machine.resident_bytes()
    assert held == 2 * MIB


@pytest.fixture
def kernel_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the kernel's files; 2 KiB are free."""
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       2 kB\n")
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    return tmp_path


VERSIONS = pytest.mark.parametrize(
    "names",
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
    ids=["version 2", "version 1"],
)


@VERSIONS
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("max", "5", 2048), ("1500", "500", 1000), ("9223372036854771712", "1", 2048), ("1", "2", 0)],
)
def test_available_memory_is_what_both_the_system_and_the_cgroup_leave(
    kernel_files: Path, names: tuple[str, str], limit: str, used: str, expected: int
) -> None:
    """In a container the system's figure is that of the host; hosts with cgroup version 1 are still in use."""
    for name, value in zip(names, (limit, used), strict=True):
        (kernel_files / name).write_text(f"{value}\n")
    assert machine.available_bytes() == expected


@VERSIONS
def test_what_a_daemon_may_take_of_its_container_is_all_that_the_limit_allows(
    kernel_files: Path, names: tuple[str, str]
) -> None:
    """`sttd check` beside a running daemon would count what that holds twice."""
    for name, value in zip(names, ("1500", "500"), strict=True):
        (kernel_files / name).write_text(f"{value}\n")
    assert machine.allowed_bytes() == 1500


@pytest.mark.parametrize(
    ("membership", "limited"),
    [
        ("0::/system.slice/sttd.service\n", "system.slice/sttd.service/memory.max"),
        ("0::/system.slice/sttd.service\n", "system.slice/memory.max"),
        ("0::/docker/7a1\n", "memory.max"),
        ("5:cpu,cpuacct:/other\n4:memory:/sttd.service\n0::/\n", "memory/sttd.service/memory.limit_in_bytes"),
        ("4:memory:/docker/7a1\n", "memory/memory.limit_in_bytes"),
    ],
    ids=["its unit", "its slice", "its container, by the host's path", "version 1", "version 1 in a container"],
)
def test_a_limit_is_seen_wherever_above_the_process_it_is(kernel_files: Path, membership: str, limited: str) -> None:
    """A unit's `MemoryMax` is not at the root of the hierarchy, as a container's limit is."""
    (kernel_files / "membership").write_text(membership)
    (kernel_files / limited).parent.mkdir(parents=True, exist_ok=True)
    (kernel_files / limited).write_text("1500\n")
    assert machine.allowed_bytes() == 1500


def test_a_system_without_these_files_gives_no_figure(kernel_files: Path) -> None:
    """Not every system has them."""
    (kernel_files / "meminfo").unlink()
    assert machine.available_bytes() is machine.allowed_bytes() is None
