"""Getting a model over the network: a real download from a hub on loopback, and every way in which there is no network.

Each fetch runs in a process of its own, as `sttd model fetch` does: the Hub library reads its endpoint at import.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sttd.consumer.engine.files import store
from sttd.consumer.errors import ExitCode, ModelUnavailable
from sttd.consumer.models import demo_directory
from tests.support import fake_hub, tone_model
from tests.support.daemon import DaemonProcess
from tests.support.fake_hub import FakeHub

REPOSITORY = "owner/tiny-notes"
MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]

FETCH = """
import json, sys
from pathlib import Path
from sttd.consumer.engine.files import layouts, store
from sttd.consumer.errors import JobStopped, SttdError
name, cache, stop_at = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
seen = []
def on_progress(progress):
    seen.append((progress.done, progress.total))
    if progress.total and progress.done / progress.total >= stop_at:
        raise JobStopped("enough")
try:
    path = store.fetch(name, cache, on_progress, layouts.of_name(name, "whisper", "auto"))
    store.verify(name, path)
    print(json.dumps({"path": str(path), "progress": seen}))
except SttdError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message}))
"""

OPEN = """
import asyncio, json, sys
from pathlib import Path
from sttd.consumer.engine.opening import EngineOptions, open_engine
async def main():
    options = EngineOptions(model=sys.argv[1], cache=Path(sys.argv[2]), device="cpu", slots=1, threads=1)
    engine = await open_engine(options)
    print(json.dumps(engine.info.model_dump()))
    await engine.close(5)
asyncio.run(main())
"""


def run(script: str, endpoint: str, cache: Path, *, name: str = REPOSITORY, stop_at: float = 2.0) -> dict[str, Any]:
    """Run one of the scripts against the hub at `endpoint`; its answer."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and not key.startswith(("HF_", "PIP_"))
    }
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache / "home")}
    environment |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}  # no second source
    done = subprocess.run(
        [sys.executable, "-c", script, name, str(cache), str(stop_at)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer | {"stderr": done.stderr}


CANCEL = """
import asyncio, json, sys
from pathlib import Path
from sttd.consumer.engine.opening import EngineOptions, open_engine
async def main():
    loop = asyncio.get_running_loop()
    def on_progress(progress):
        loop.call_soon_threadsafe(opening.cancel)
    options = EngineOptions(model=sys.argv[1], cache=Path(sys.argv[2]), device="cpu", slots=1, threads=1)
    opening = asyncio.create_task(open_engine(options, on_progress=on_progress))
    try:
        await opening
    except asyncio.CancelledError:
        print(json.dumps({"cancelled": True}))
asyncio.run(main())
"""


def test_a_model_of_the_second_engine_is_fetched_alone_and_checked(tmp_path: Path) -> None:
    """Its repository holds several models of 885 MB; the Hub's hashes prove the one that was asked for."""
    repository = tone_model.build(tmp_path / "repository")
    for other in ("v3_ctc.int8.onnx", "v3_e2e_ctc.onnx", "v3_rnnt_encoder.onnx"):
        (repository / other).write_bytes(b"another model")
    with fake_hub.running(FakeHub("istupakov/gigaam-v3-onnx", repository)) as hub:
        fetched = run(FETCH, hub.url, tmp_path / "cache", name="gigaam-v3-ctc")
    path = Path(fetched["path"])
    assert {file.name for file in path.iterdir()} == {"config.json", "v3_ctc.onnx", "v3_vocab.txt"}
    graph = path / "v3_ctc.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.resolve().write_bytes(content)
    with pytest.raises(ModelUnavailable, match="is damaged on disk"):
        store.verify("gigaam-v3-ctc", path)


def copy_of_demo(directory: Path) -> Path:
    """A repository to change."""
    return Path(shutil.copytree(demo_directory(), directory))


@pytest.mark.slow("a daemon that starts twice")
def test_a_missing_model_is_downloaded_with_progress_and_then_loads_without_the_network(tmp_path: Path) -> None:
    """First start: bytes are reported up to the whole; later starts make no request, hub or no hub."""
    with fake_hub.running(FakeHub(REPOSITORY, demo_directory())) as hub:
        fetched = run(FETCH, hub.url, tmp_path)
        done = [done for done, _ in fetched["progress"]]
        total = sum(path.stat().st_size for path in demo_directory().iterdir())
        assert done == sorted(done)
        assert fetched["progress"][-1] == [total, total]
        assert len(done) > 2
        hub.requests.clear()
        assert run(OPEN, hub.url, tmp_path)["name"] == REPOSITORY
        assert hub.requests == []
    assert run(OPEN, hub.url, tmp_path)["device"] == "cpu"


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    """A model of gigabytes never starts again from its first byte (the library keeps steps of 10 MiB)."""
    big = copy_of_demo(tmp_path / "repository")
    with (big / "model.bin").open("r+b") as weights:
        weights.truncate(24 * MIB)
    with fake_hub.running(FakeHub(REPOSITORY, big, cut_after=15 * MIB)) as hub:
        fetched = run(FETCH, hub.url, tmp_path / "cache")
        ranges = [line.rpartition(" ")[2] for line in hub.requests if "bytes=" in line]
    assert ranges == [f"bytes={10 * MIB}-"]
    assert Path(fetched["path"], "model.bin").stat().st_size == 24 * MIB


def test_a_download_can_be_ended_from_the_progress_report_and_taken_up_again(tmp_path: Path) -> None:
    """SIGTERM during the first start must not wait for gigabytes; what is there is not lost."""
    with fake_hub.running(FakeHub(REPOSITORY, demo_directory())) as hub:
        assert run(FETCH, hub.url, tmp_path, stop_at=0.0)["error"] == "JobStopped"
        assert "path" in run(FETCH, hub.url, tmp_path)


def test_a_start_that_is_cancelled_while_it_downloads_ends(tmp_path: Path) -> None:
    """SIGTERM during the first start: nothing hangs and nothing complains."""
    with fake_hub.running(FakeHub(REPOSITORY, demo_directory())) as hub:
        assert run(CANCEL, hub.url, tmp_path) == {"cancelled": True, "stderr": ""}


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json"])
def test_a_damaged_file_is_refused_before_it_is_loaded_and_fetched_again(name: str, tmp_path: Path) -> None:
    """A flipped bit in the cache never gives a model that writes nonsense: it is fetched again, or a clear error."""
    with fake_hub.running(FakeHub(REPOSITORY, demo_directory())) as hub:
        file = Path(run(FETCH, hub.url, tmp_path)["path"]) / name
        spoil(file)
        assert "path" in run(FETCH, hub.url, tmp_path)
        assert file.read_bytes() == (demo_directory() / name).read_bytes()
    spoil(file)
    answer = run(FETCH, hub.url, tmp_path)
    assert answer["error"] == "ModelUnavailable"
    assert f"was damaged on disk ({name})" in answer["message"]


def spoil(file: Path) -> None:
    """Flip one bit."""
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)


@pytest.mark.slow("several processes")
def test_without_cache_and_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    """Refused, silent, swallowed or nameless: nothing hangs, and the error names the three ways out."""
    networks = (fake_hub.refusing, fake_hub.mute, fake_hub.swallowing, fake_hub.nameless)

    def fetch(network: Callable[[], AbstractContextManager[str]]) -> dict[str, Any]:
        with network() as endpoint:
            return run(FETCH, endpoint, tmp_path / network.__name__, name="base")

    with ThreadPoolExecutor(len(networks)) as pool:
        answers = dict(zip(networks, pool.map(fetch, networks), strict=True))
    for network, answer in answers.items():
        assert answer["error"] == "ModelUnavailable", network
        assert "\n" not in answer["message"], network
        assert all(
            way in answer["message"]
            for way in ("sttd model fetch base", "set STTD_MODEL to the copy", "STTD_MODEL=demo")
        ), network
        assert answer["stderr"] == "", network


def test_a_repository_that_does_not_exist_is_said_to_be_none(tmp_path: Path) -> None:
    """A typing error in a Hub id is not a network problem."""
    with fake_hub.running(FakeHub(REPOSITORY, demo_directory())) as hub:
        answer = run(FETCH, hub.url, tmp_path, name="owner/other")
    assert answer["error"] == "ModelMisconfigured"
    assert "has no such model" in answer["message"]


def test_a_repository_without_tokenizer_is_refused(tmp_path: Path) -> None:
    """Else faster-whisper would go and download some other tokenizer while it loads."""
    part = copy_of_demo(tmp_path / "repository")
    (part / "tokenizer.json").unlink()
    with fake_hub.running(FakeHub(REPOSITORY, part)) as hub:
        answer = run(FETCH, hub.url, tmp_path / "cache")
    assert answer["error"] == "ModelMisconfigured"
    assert "tokenizer.json" in answer["message"]


def test_a_misspelt_model_ends_the_daemon_with_the_code_for_wrong_settings(tmp_path: Path) -> None:
    """3 is tried again: the unit started it every 5 s for ever. Neither broker nor network is asked."""
    daemon = DaemonProcess("amqp://127.0.0.1:1/", tmp_path / "log", model="bse", slots="1").start()
    try:
        assert daemon.wait_exit() == ExitCode.SETTINGS
    finally:
        daemon.close()
    assert "did you mean base?" in daemon.lines("startup_error")[0]["event"]
