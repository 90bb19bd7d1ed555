"""The benchmark and `sttd bench` from end to end, as short as they can be: one round, the demo model, two peers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import second_engine
from tests.support.broker import Broker
from tests.support.notes import note
from tests.support.notes import spoken as words

pytestmark = pytest.mark.slow("benchmarks in small")

ROOT = Path(__file__).parents[2]


def test_one_round_of_two_peers_writes_figures_for_both(broker: Broker, tmp_path: Path) -> None:
    """Daemon, load, core time, memory, stages, page: every part of the harness meets the others."""
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--rounds",
        "1",
        "--model",
        "demo",
        "--peers",
        "ours,pool",
        "--notes",
        "samples",
    ]
    done = subprocess.run(
        [*command, "--loads", "closed:2", "--seconds", "1", "--out", str(tmp_path)],
        env=os.environ | {"STTD_AMQP_URL": broker.amqp_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["missing"] == {}
    for peer in ("ours", "pool"):
        (figures,) = found["samples"][peer]["closed:2"]
        assert figures["failures"] == []
        assert figures["notes"] >= 2
        assert figures["core_seconds_per_note"] > 0
        assert figures["stages"]["transcribe"]["p50"] > 0
        assert found["starts"][peer][0]["peak_mib"] > 0
    page = (tmp_path / "run.md").read_text()
    assert "ours / pool" in page
    assert str(ROOT) not in page + json.dumps(found)


@second_engine.left_out(second_engine.SOUNDS)
def test_sttd_bench_compares_both_engines_on_files(tmp_path: Path) -> None:
    """The user's own question, answered: how fast each is, and whether their texts are equal."""
    spoken, broken = note(), note(expect="audio_unreadable")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sttd",
            "bench",
            "--model",
            "demo",
            "--rounds",
            "1",
            "--json",
            str(spoken.path),
            str(broken.path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr  # one of the files cannot be read
    said = json.loads(done.stdout)
    assert str(broken.path) in done.stderr
    assert said["stock"]["texts"] == said["ours"]["texts"]
    assert words(said["ours"]["texts"][str(spoken.path)]) == words(spoken.text)
    assert said["differences"] == []
    for side in ("stock", "ours"):
        assert said[side]["peak_mib"] > 0
        assert said[side]["core_seconds_per_minute"] > 0


def test_sttd_bench_compares_contexts_on_files_and_names_the_setting(tmp_path: Path) -> None:
    """Both contexts by the daemon's own engine, the scripts read, and no verdict from one note."""
    spoken, texts = note(), tmp_path / "texts.tsv"
    texts.write_text(f"{spoken.path.name}\t{spoken.text}\n", encoding="utf-8")
    command = [sys.executable, "-m", "sttd", "bench", "--model", "demo", "--context", "--reference", str(texts)]
    done = subprocess.run(
        [*command, str(spoken.path)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    *_, verdict, setting = done.stdout.splitlines()
    assert verdict == "verdict: not enough audio: about 99 more such notes are wanted"
    assert setting == "STTD_ENCODER_CONTEXT=full"
    assert "difference: +0.0 points (+0.0 to +0.0)" in done.stdout
