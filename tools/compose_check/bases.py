"""The images that Dockerfile and docker-compose.yml name, made from Debian's packages: no registry is asked."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.compose_check.engine import SOURCE, Engine
from tools.compose_check.process import output
from tools.rabbitmq import debian, roots

IMAGES: Final = Path(__file__).with_name("images")
LEFT_OUT: Final = ("./usr/share/doc", "./usr/share/man", "./var/lib/apt/lists")
MACHINES_OWN: Final = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches its package index: part of the Python image, and never of the repository."""


@dataclass(frozen=True, slots=True)
class Base:
    """An image: what `images/` calls it, its name, and the root file system of which `images/` makes it."""

    name: str
    image: str
    root: debian.Root


def base(name: str, image: str, suite: str, *packages: str) -> Base:
    """An image of Debian's packages; what `_version` tells of it is the first one's."""
    return Base(name, image, debian.Root(f"the stand-in for {image}", f"compose/{name}", suite, packages))


BASES: Final = (
    base("python", "python:3.11-slim-bookworm", "bookworm", "python3", "python3-venv", "ca-certificates"),
    Base("rabbitmq", "rabbitmq:4-management", roots.root("4.3")),
    base("prometheus", "prom/prometheus:v3.5.0", "forky", "prometheus", "wget"),
)


def make(engine: Engine, work: Path) -> str:
    """Make every one that is not there yet; returns which versions they hold. `work` is the engine's /mnt."""
    _lend(work / "machine")
    (work / "nothing").mkdir()
    contexts = {"python": "/mnt/machine"}
    return "; ".join(make_one(engine, one, contexts.get(one.name, "/mnt/nothing")) for one in BASES)


def make_one(engine: Engine, base: Base, context: str) -> str:
    """Make one with this context, a directory in the engine; returns which version it holds."""
    _import(engine, base)
    dockerfile = f"/srv/{IMAGES.relative_to(SOURCE)}/{base.name}.Dockerfile"
    engine.run("docker", "build", "--quiet", "--tag", base.image, "--file", dockerfile, context)
    return f"{base.image}: {_version(base.root)}"


def _lend(context: Path) -> None:
    context.mkdir()
    for name in MACHINES_OWN:
        if (source := Path("/") / name).exists():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, context / name)


def _import(engine: Engine, base: Base) -> None:
    """Its root file system as an image of one layer, once."""
    tag = f"sttd-root:{base.name}"
    if engine.run("docker", "image", "ls", "--quiet", tag).strip():
        return
    words = [
        "tar",
        "--create",
        "--numeric-owner",
        *(f"--exclude={path}" for path in LEFT_OUT),
        f"--directory={base.root.ensure()}",
        ".",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as tar:  # noqa: S603 - fixed
        engine.run("docker", "import", "-", tag, stdin=tar.stdout)


def _version(root: debian.Root) -> str:
    """The first package and its version, as dpkg knows them."""
    package = root.packages[0]
    words = ["dpkg-query", f"--root={root.ensure()}", "--show", "--showformat=${Version}", package]
    return f"{package} {output(words)} of Debian {root.suite}"
