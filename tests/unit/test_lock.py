"""`make lock`: what each lock is resolved from, and that none names where packages come from."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tools.lock import WHOLE, locks

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
LOCKS = {lock.file: lock for lock in locks(EXTRAS)}


def test_every_extra_is_in_the_lock_of_the_tests_but_the_gpu_library() -> None:
    """A new extra is locked without an edit of the tool; a gigabyte that no test needs stays out."""
    command = LOCKS[WHOLE].command
    named = {word for before, word in pairwise(command) if before == "--extra"}
    assert named == set(EXTRAS) - {"gpu"}
    assert [line.split(">=")[0] for line in LOCKS["deploy/image/gpu.lock"].given] == ["nvidia-cublas-cu12"]


def test_parts_take_the_versions_of_the_whole() -> None:
    """Image and benchmark run with what the tests ran with."""
    parts = {name: lock for name, lock in LOCKS.items() if name not in {WHOLE, "deploy/image/gpu.lock"}}
    assert all(lock.command[lock.command.index("--constraint") + 1] == WHOLE for lock in parts.values())


@pytest.mark.parametrize("name", LOCKS)
def test_a_committed_lock_has_hashes_and_no_address(name: str) -> None:
    """A lock that names an index works on one network only."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text
