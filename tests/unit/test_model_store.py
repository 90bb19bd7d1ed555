"""Which directory a model's name means, without any network."""

import errno
import importlib
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from sttd.consumer.engine.files import layouts, store
from sttd.consumer.errors import ExitCode, ModelUnavailable
from sttd.consumer.models import demo_directory


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection attempt fails the test."""

    def refuse(*args: Any) -> None:
        raise AssertionError(f"a network call: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def cached_repository(cache: Path, repository: str, source: Path) -> Path:
    """What a download leaves in the cache: a reference and a snapshot."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    return Path(shutil.copytree(source, folder / "snapshots" / "c0ffee"))


def test_the_size_names_are_those_of_faster_whisper() -> None:
    """A copy of its table saves a slow import; this is what keeps the copy true."""
    assert importlib.import_module("faster_whisper.utils")._MODELS == layouts.SIZES


def test_demo_is_the_bundled_model(tmp_path: Path) -> None:
    """It needs no cache and no network, and only its name chooses it."""
    assert store.resolve("demo", tmp_path) == demo_directory()


@pytest.mark.parametrize("name", ["base", "owner/name"])
def test_a_hub_model_that_is_not_cached_is_none(name: str, tmp_path: Path) -> None:
    """The caller decides whether to download; looking never does."""
    assert store.resolve(name, tmp_path) is None


@pytest.mark.parametrize(
    ("name", "repository"), [("base", "Systran/faster-whisper-base"), ("owner/name", "owner/name")]
)
def test_a_cached_hub_model_is_found(name: str, repository: str, tmp_path: Path) -> None:
    """A second start needs no internet."""
    path = cached_repository(tmp_path, repository, demo_directory())
    assert store.resolve(name, tmp_path) == path
    assert store.fetch(name, tmp_path, lambda _: pytest.fail("nothing is downloaded")) == path


def test_a_half_downloaded_model_is_not_there(tmp_path: Path) -> None:
    """The next start takes the download up again instead of failing at load."""
    path = cached_repository(tmp_path, "Systran/faster-whisper-base", demo_directory())
    (path / "model.bin").unlink()
    assert store.resolve("base", tmp_path) is None


def test_a_directory_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative or in the home directory."""
    shutil.copytree(demo_directory(), tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (str(tmp_path / "mine"), "mine", "./mine", "~/mine"):
        path = store.resolve(name, None)
        assert path is not None
        assert path.samefile(tmp_path / "mine")


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_directory_that_lacks_a_file_is_refused_by_the_files_name(missing: str, tmp_path: Path) -> None:
    """Without tokenizer.json faster-whisper would download one; without the others it fails in its own words."""
    directory = Path(shutil.copytree(demo_directory(), tmp_path / "mine"))
    (directory / missing).unlink()
    with pytest.raises(ModelUnavailable, match=missing):
        store.resolve(str(directory), None)


def refused(name: str) -> ModelUnavailable:
    """Why this name is no model."""
    with pytest.raises(ModelUnavailable) as caught:
        store.resolve(name, None)
    return caught.value


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("bsae", ExitCode.SETTINGS),
        ("a/b/c", ExitCode.SETTINGS),
        ("owner/name.git", ExitCode.SETTINGS),
        ("owner/name-", ExitCode.SETTINGS),
        (f"owner/{'x' * 97}", ExitCode.SETTINGS),
        ("~nobody-of-this-name/base", ExitCode.SETTINGS),
        ("/no/such/directory", ExitCode.MODEL),
        ("./nowhere", ExitCode.MODEL),
        ("../x/y", ExitCode.MODEL),
    ],
)
def test_a_wrong_name_needs_a_person_and_a_missing_directory_may_yet_be_mounted(name: str, code: ExitCode) -> None:
    """A service manager would start the daemon with a misspelt model every 5 s for ever."""
    error = refused(name)
    assert error.exit_code == code
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bse", "did you mean base?"),
        ("Large-V3", "did you mean large-v3?"),
        ("large_v3_turbo", "did you mean large-v3-turbo?"),
        ("gigaam-v3", "did you mean gigaam-v3-ctc?"),
        ("quite another thing", "nor demo"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one(name: str, meant: str) -> None:
    """A list of twenty names hides the one that was meant; a name that is near to none is answered with the list."""
    assert refused(name).message.endswith(meant)


@pytest.mark.parametrize("closed", ["mine", "mine/model.bin"])
def test_a_model_that_may_not_be_read_is_an_error_of_one_line(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit cannot see /root or /home: the start ended with a traceback, and 1."""
    shutil.copytree(demo_directory(), tmp_path / "mine")
    stat = Path.stat

    def denied(path: Path, **options: Any) -> os.stat_result:
        if path == tmp_path / closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", denied)
    error = refused(str(tmp_path / "mine"))
    assert f"{tmp_path / closed}: Permission denied; the user of this process must be able to" in error.message
    assert error.exit_code == ExitCode.MODEL


def test_an_unknown_size_lists_the_known_ones() -> None:
    """The reader need not search for them."""
    with pytest.raises(ModelUnavailable, match=r"base, .*large-v3, .*turbo"):
        store.resolve("huge", None)


def test_weights_are_compared_with_the_hash_that_names_them(tmp_path: Path) -> None:
    """The Hub's cache names a large file by its SHA-256: a damaged one is found before it is loaded."""
    directory = Path(shutil.copytree(demo_directory(), tmp_path / "snapshot"))
    store.verify("own directory", directory)
    blob = tmp_path / ("0" * 64)
    (directory / "model.bin").rename(blob)
    (directory / "model.bin").symlink_to(blob)
    with pytest.raises(ModelUnavailable, match="damaged"):
        store.verify("base", directory)
