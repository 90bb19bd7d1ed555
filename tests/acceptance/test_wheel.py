"""What `pip install .` gives a bot: the client and the command line, typed, no speech library and no stray file."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow("whole environments")

ROOT = Path(__file__).parents[2]
HEAVY = set("av ctranslate2 faster-whisper numpy onnxruntime openvino tokenizers torch huggingface-hub".split())
SERVERS = {"starlette", "uvicorn", "fastapi", "flask", "prometheus-client"}


def command(*words: str, cwd: str = "/", **environment: str) -> str:
    """Stdout of a command that must succeed, away from the tree and from this environment's packages."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("STTD_", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        words, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=5 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(programs: Path, *words: str) -> str:
    """This environment's pip at work in another one, which saves installing it there."""
    return command(
        sys.executable, "-m", "pip", "--python", str(programs / "python"), "--disable-pip-version-check", *words
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with `pip install .` and nothing else."""
    home = tmp_path_factory.mktemp("bot")
    command(sys.executable, "-m", "venv", "--without-pip", str(home))
    pip(home / "bin", "install", str(ROOT))
    return home / "bin"


def test_the_plain_install_has_no_speech_library_and_transcribes(
    installed: Path, daemon: DaemonProcess, broker: Broker
) -> None:
    """A bot's container stays small: `import sttd`, `sttd transcribe`, and the demo's samples to try them on."""
    listed = pip(installed, "list", "--format", "freeze").lower()
    packages = set(re.findall(r"^([\w.-]+)==", listed.replace("_", "-"), flags=re.MULTILINE))
    assert "sttd" in packages
    assert packages.isdisjoint(HEAVY | SERVERS)

    program = "import sys, sttd; print(sttd.Client(), sttd.BlockingClient(), sys.modules['sttd'].__file__)"
    assert str(installed.parent) in command(str(installed / "python"), "-c", program)

    said = command(str(installed / "sttd"), "transcribe", str(note(text=GROCERIES).path), STTD_AMQP_URL=broker.amqp_url)
    assert spoken(said) == spoken(GROCERIES)
    assert daemon.ready()


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pip can be given, by kind: sdist and wheel (those of `make dist`, else built here), and the repository."""
    folder = Path(os.environ.get("DIST") or tmp_path_factory.mktemp("dist")).resolve()
    if "DIST" not in os.environ:
        build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"sdist": sdist.as_uri(), "wheel": wheel.as_uri(), "repository": f"git+{ROOT.as_uri()}"}


def test_the_sdist_holds_what_the_wheel_is_built_of_and_nothing_else(dist: dict[str, str]) -> None:
    """The wheel's files are in it, beside the project's own pages; no tests, no tools, no local state."""
    with zipfile.ZipFile(_path(dist["wheel"])) as archive:
        wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(_path(dist["sdist"])) as archive:
        sdist = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    pages = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"}
    assert wheel <= sdist
    assert sdist - wheel <= pages


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def test_the_wheel_holds_our_packages_and_nothing_else(dist: dict[str, str]) -> None:
    """No tests, no tools, no local state, no secrets; with types, licence, samples and the demo model."""
    wheel = _path(dist["wheel"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    sources = {
        (Path(folder) / file).relative_to(ROOT).as_posix()
        for folder, _, files in os.walk(ROOT / "sttd", followlinks=True)
        for file in files
    }
    assert {name for name in names if ".dist-info/" not in name} == {
        name for name in sources if "__pycache__" not in name
    }
    assert set(
        """
        sttd/py.typed sttd/samples/manifest.json sttd/schemas/request.py sttd/consumer/models/demo/model.bin
        sttd/gateway/page/main.js
    """.split()
    ) <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "sttd = sttd.commands.main:main" in entry_points
    assert wheel.stat().st_size < 20 * 2**20


OF_THE_BOT = ("schemas", "consumer", "gateway", "tools", "bench")
"""Folders that a bot may have itself (issue 12): `pip install sttd` must neither shadow them nor be shadowed by them.
"""

README_CLIENT = re.search(
    r"```python\n(import asyncio\nfrom sttd.+?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL
)


@pytest.mark.parametrize("kind", ["sdist", "wheel", "wheel[gateway]", "repository"])
def test_a_bot_with_folders_of_our_names_runs_the_client_of_the_readme(
    tmp_path: Path, kind: str, dist: dict[str, str], daemon: DaemonProcess, broker: Broker
) -> None:
    """By each requirement that docs/client.md shows; the bot's own `schemas` is the one that the bot imports."""
    home, bot = tmp_path / "home", tmp_path / "bot"
    command(sys.executable, "-m", "venv", "--without-pip", str(home))
    name, bracket, extra = kind.partition("[")
    # Without a host pip takes no URL behind a name.
    wanted = dist[name] if kind == "repository" else f"sttd{bracket}{extra} @ {dist[name]}"
    pip(home / "bin", "install", wanted)
    for name in OF_THE_BOT:
        (bot / name).mkdir(parents=True)
        (bot / name / "__init__.py").write_text(f"OWNER = 'bot: {name}'\n")
    shutil.copy(note(text=GROCERIES).path, bot / "note.ogg")
    assert README_CLIENT is not None
    client = README_CLIENT.group(1)
    imports = (
        f"import {', '.join(OF_THE_BOT)}\nprint(*({', '.join(f'{name}.OWNER' for name in OF_THE_BOT)},), sep=', ')\n"
    )
    (bot / "main.py").write_text(imports + client)
    told = command(str(home / "bin" / "python"), str(bot / "main.py"), cwd=str(bot), STTD_AMQP_URL=broker.amqp_url)
    owners, text = told.splitlines()
    assert owners == ", ".join(f"bot: {name}" for name in OF_THE_BOT)
    assert spoken(text) == spoken(GROCERIES)
    assert daemon.ready()
