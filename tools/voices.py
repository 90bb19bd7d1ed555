"""Human voices with their scripts, from Debian packages: `python -m tools.voices` fetches them and lists what is there.

Nothing is installed: `apt-get download` and `dpkg -x` into a cache outside the clone. The sounds are never part of the
repository; their licences are the packages' own. Audio is decoded by faster-whisper, which is imported when the first
utterance is opened.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tools import no_arguments

PACKAGES: Final = tuple(
    """
    festvox-ru asterisk-core-sounds-ru asterisk-core-sounds-ru-wav asterisk-core-sounds-en asterisk-core-sounds-en-wav
    """.split()
)
OTHER_LANGUAGES: Final = ("es", "fr", "it")
OTHER_PACKAGES: Final = tuple(
    f"asterisk-core-sounds-{language}{kind}" for language in OTHER_LANGUAGES for kind in ("", "-wav")
)
VERSIONS: Final = "versions"
RATE: Final = 16_000

LEFT_OUT: Final = re.compile(r"(letters|phonetic|silence)/.*|digits/\d[a-z]?")
"""Prompts without a sentence or a word to get right: names of letters and symbols, single digits, silence."""

NOT_SAID: Final = re.compile(r"[\[\]<>()@*#]")
"""A script with one of these describes a sound, or is not what is spoken."""

MISSPELT: Final = {
    "conf-adminmenu: ": "",
    "что бы": "чтобы",
    "Что бы": "Чтобы",
    "чтобы бы": "чтобы",
    "И за тем": "И затем",
    "увеличиения": "увеличения",
    "завршить": "завершить",
    "демонтрационным": "демонстрационным",
    "взёздочка": "звёздочка",
    "октрября": "октября",
    "неразрешен": "не разрешен",
    "по-этому": "поэтому",
    "первoe": "первое",  # the last two letters of the first are Latin
    "umute": "unmute",
    "represenatives": "representatives",
    "straight thru": "straight through",
    "Un-indentified": "Unidentified",
    "witheld": "withheld",
}
"""What the scripts of the prompts misspell, all of it, in this order; nothing else in a script is changed."""


class VoicesUnavailable(Exception):
    """The packages cannot be fetched here; one line with the next step."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and its script. `speaker`: the voice's name in its package; `language`: a Whisper code."""

    set: str
    name: str
    path: Path
    text: str
    speaker: str
    language: str

    @property
    def seconds(self) -> float:
        """How long the recording is, by its header."""
        with wave.open(str(self.path)) as file:
            return float(file.getnframes() / file.getframerate())

    def audio(self) -> npt.NDArray[np.float32]:
        """Mono samples in [-1, 1] at 16 kHz, shape (samples,); 8 kHz recordings are resampled."""
        from faster_whisper.audio import decode_audio  # noqa: PLC0415 - slow to import, and not everybody listens

        samples: npt.NDArray[np.float32] = decode_audio(str(self.path), sampling_rate=RATE)
        return samples


def cache() -> Path:
    """Where the voices are kept: outside the clone, so that a second clone fetches nothing."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sttd" / "voices"


def fetch(directory: Path | None = None, packages: Sequence[str] = PACKAGES) -> Path:
    """The directory of these packages' voices, fetched on the first call (about 250 MB unpacked, a minute).

    Raises `VoicesUnavailable`. It is made under another name and renamed when whole, so what is interrupted, or
    comes at the same time, harms nothing.
    """
    directory = directory or cache()
    if (directory / VERSIONS).is_file():
        return directory
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise VoicesUnavailable(f"human voices come from Debian packages and there is no {program} here")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}-part-", dir=directory.parent) as part:
        whole = Path(part) / "whole"
        _unpack(_download(Path(part), packages), whole)
        _publish(whole, directory)
    return directory


def other_languages() -> list[Utterance]:
    """The prompts of `OTHER_LANGUAGES`, fetched once, into a directory beside. Raises `VoicesUnavailable`."""
    return utterances(fetch(cache().with_name("voices-other"), OTHER_PACKAGES), tuple(OTHER_SETS))


def utterances(directory: Path, sets: Sequence[str] = ()) -> list[Utterance]:
    """The utterances of the named `SETS` (default: all), sorted by name.

    Raises `VoicesUnavailable` where files are missing.
    """
    try:
        read = SETS | OTHER_SETS
        return [one for name in sets or SETS for one in sorted(read[name](directory), key=lambda one: one.name)]
    except OSError as error:
        raise VoicesUnavailable(f"{directory} is damaged ({error}); delete it and fetch it again") from error


def _festvox(directory: Path) -> Iterator[Utterance]:
    voice = directory / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    lines = (voice / "etc" / "txt.done.data").read_text(encoding="utf-8").splitlines()
    for found in filter(None, map(re.compile(r'\( (\w+) "(.*)" \)').fullmatch, lines)):
        name, text = found.groups()
        yield Utterance("ru-festvox", name, voice / "wav" / f"{name}.wav", text, voice.name, "ru")


def _prompts(language: str, folder: str) -> Callable[[Path], Iterator[Utterance]]:
    def read(directory: Path) -> Iterator[Utterance]:
        script = directory / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        for line in gzip.decompress(script.read_bytes()).decode().splitlines():
            name, _, text = line.partition(":")
            path = directory / "usr/share/asterisk/sounds" / folder / f"{name}.wav"
            if is_spoken(name, text) and path.is_file():
                yield Utterance(f"{language}-prompts", name, path, spelt(text), folder, language)

    return read


SETS: Final[dict[str, Callable[[Path], Iterator[Utterance]]]] = {
    "ru-festvox": _festvox,
    "ru-prompts": _prompts("ru", "ru_RU_f_IvrvoiceRU"),
    "en-prompts": _prompts("en", "en_US_f_Allison"),
}
"""Name -> what is in it: one man reading fiction, one woman reading prompts of a telephone system, one woman the same
in English."""

OTHER_SETS: Final[dict[str, Callable[[Path], Iterator[Utterance]]]] = {
    "es-prompts": _prompts("es", "es_MX_f_Allison"),
    "fr-prompts": _prompts("fr", "fr_CA_f_June"),
    "it-prompts": _prompts("it", "it_IT_m_Carlo"),
}
"""The same prompts in other languages, for `auto`; their scripts have more typing errors than can be corrected here."""


def is_spoken(name: str, text: str) -> bool:
    """Whether a prompt of this name and script has words to compare with."""
    return bool(text.strip()) and not (name.startswith(";") or LEFT_OUT.fullmatch(name) or NOT_SAID.search(text))


def spelt(text: str) -> str:
    """A script of the prompts without its typing errors."""
    for wrong, right in MISSPELT.items():
        text = text.replace(wrong, right)
    return text.strip()


def _download(folder: Path, packages: Sequence[str]) -> list[Path]:
    """The packages as files. Stale lists name versions that are gone: root looks once more with new ones."""
    get = ["apt-get", "-qq", "download", *packages]
    said = _run(get, folder)
    if said and os.geteuid() == 0:
        _run(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "update"], folder)
        said = _run(get, folder)
    if said:
        raise VoicesUnavailable(f"apt-get cannot download the human voices ({said}); as root: apt-get update")
    return sorted(folder.glob("*.deb"))


def _unpack(packages: Sequence[Path], whole: Path) -> None:
    versions = []
    for package in packages:
        if said := _run(["dpkg-deb", "-x", str(package), str(whole)], package.parent):
            raise VoicesUnavailable(f"{package.name} does not unpack: {said}")
        name, version, _ = package.name.split("_")
        versions.append(f"{name} {version.replace('%3a', ':')}\n")
    (whole / VERSIONS).write_text("".join(versions), encoding="utf-8")


def _publish(whole: Path, directory: Path) -> None:
    try:
        whole.rename(directory)
    except OSError as error:
        if not (directory / VERSIONS).is_file():  # else another process was as far a moment ago
            raise VoicesUnavailable(f"{directory} is in the way: delete it ({error.strerror})") from error


def _run(command: list[str], folder: Path) -> str:
    """The last line of a program's output when it failed, else nothing."""
    done: Any = subprocess.run(  # noqa: S603 - fixed programs
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    return said[-1][:200] if done.returncode else ""


def main() -> int:
    """Fetch what is missing and print versions, sets, numbers, minutes."""
    try:
        directory = fetch()
        for line in (directory / VERSIONS).read_text(encoding="utf-8").splitlines():
            sys.stdout.write(f"{line}\n")
        for name in SETS:
            sys.stdout.write(f"{name}: {len(utterances(directory, [name]))} utterances\n")
    except VoicesUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"in {directory}\n")
    return 0


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
