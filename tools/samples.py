"""Makes the sample voice notes of sttd/samples: `python -m tools.samples`.

As root it installs the Debian packages that it needs. The same versions of the programs give the same bytes. Which
model reads what: sttd/samples/README.md.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from tools import no_arguments
from tools.rabbitmq import apt

FOLDER: Final = Path(__file__).resolve().parents[1] / "sttd" / "samples"
VOICES: Final = "/usr/share/festival/voices"
NEEDED: Final = {
    "text2wave": "festival",
    f"{VOICES}/russian/msu_ru_nsh_clunits": "festvox-ru",
    f"{VOICES}/us/cmu_us_slt_arctic_hts": "festvox-us-slt-hts",
    "espeak-ng": "espeak-ng",
    "ffmpeg": "ffmpeg",
}
"""A program or a directory, and the Debian package that has it."""

LONG_FILE: Final = "ru-long.ogg"
DAMAGED_FILE: Final = "damaged.ogg"
LONG_PAUSE: Final = 1.2
"""Seconds between the sentences of the long note."""

RATE: Final = 16_000
DECODE: Final = ("ffmpeg", "-v", "error", "-i", "-", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-")

Keys = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """A program that reads text from stdin and writes WAV, as words of a command line.

    `gain`: decibels to a usual loudness.
    """

    name: str
    command: tuple[str, ...]
    gain: int = 0

    @classmethod
    def of_festival(cls, name: str, gain: int = 0) -> "Voice":
        """One of Festival's."""
        return cls(f"Festival {name}", ("text2wave", "-eval", f"(voice_{name})"), gain)


MSU: Final = Voice.of_festival("msu_ru_nsh_clunits")
SLT: Final = Voice.of_festival("cmu_us_slt_arctic_hts", gain=6)
ESPEAK: Final = Voice("espeak-ng en-us+f2", ("espeak-ng", "-v", "en-us+f2", "-s", "145", "-p", "45", "--stdout"))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence to speak.

    In `text` a `+` stands before a stressed vowel, for Festival; it is no part of the note's text. `keys` and `only`:
    as in the manifest, see `sttd.samples.Sample`.
    """

    file: str
    title: str
    voice: Voice
    text: str
    keys: Keys
    only: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of manifest.json, see `sttd.samples.Sample`; `made`: how."""

    file: str
    title: str
    language: str
    expect: str
    text: str
    keys: Keys
    only: str
    made: str


SPOKEN: Final = (
    Spoken(
        "ru-groceries.ogg",
        "Groceries",
        MSU,
        "Куп+ил прод+укты на дв+е с полов+иной т+ысячи",
        (("Купил продукты на",), ("две с половиной тысячи", "2,5 тысячи", "2500")),
    ),
    Spoken(
        "ru-taxi.ogg",
        "A taxi",
        MSU,
        "Потр+атил чет+ыреста рубл+ей на такс+и.",
        (("Потратил",), ("четыреста рублей", "400 рублей"), ("на такси",)),
    ),
    Spoken(
        "ru-lunch.ogg",
        "Lunch, yesterday",
        MSU,
        "Вчер+а куп+ил об+ед за тр+иста рубл+ей.",
        (("Вчера купил обед за",), ("триста рублей", "300 рублей")),
    ),
    Spoken(
        "ru-salary.ogg",
        "Salary",
        MSU,
        "Получ+ил зарпл+ату с+орок п+ять т+ысяч рубл+ей.",
        (("Получил зарплату",), ("сорок пять тысяч рублей", "45 тысяч рублей", "45000 рублей", "45 000 рублей")),
    ),
    Spoken(
        "ru-question.ogg",
        "A question",
        MSU,
        "Ск+олько я потр+атил за м+есяц на прод+укты?",
        (("Сколько я потратил за месяц на продукты",),),
    ),
    Spoken(
        "en-coffee.ogg",
        "Coffee, in English",
        ESPEAK,
        "I paid twelve dollars for coffee this morning.",
        (("I paid",), ("twelve dollars", "12 dollars", "$12"), ("for coffee this morning",)),
    ),
    Spoken(
        "en-milk.ogg",
        "Milk and bread, in English",
        SLT,
        "Please remind me to buy milk and bread on the way home.",
        (("Please remind me to buy milk and bread on the way home",),),
        only="base",
    ),
)
LONG: Final = (
    "Куп+ил прод+укты на дв+е с полов+иной т+ысячи.",
    "Заплат+ила пятьс+от рубл+ей за +ужин в рестор+ане.",
    "Куп+ил хл+еб за с+орок рубл+ей.",
    "Ве+чером куп+ил торт за девятьс+от рубл+ей.",
    "Потр+атил дв+ести рубл+ей на к+офе.",
    "Ск+олько я потр+атил за м+есяц на прод+укты?",
    "Вчер+а куп+ил об+ед за тр+иста рубл+ей.",
    "Перевёл бр+ату д+есять т+ысяч рубл+ей.",
    "Получ+ил зарпл+ату с+орок п+ять т+ысяч рубл+ей.",
    "Заплат+ила чет+ыре т+ысячи рубл+ей за рем+онт.",
    "Потр+атил ст+о пятьдес+ят рубл+ей на метр+о.",
    "Перевел+а м+аме п+ять т+ысяч рубл+ей.",
    "В пон+едельник куп+ил бил+еты за шест+ь т+ысяч рубл+ей.",
    "Запиш+и дв+ести рубл+ей на метр+о.",
    "Куп+ил м+ясо на т+ысячу рубл+ей.",
    "+Утром потр+атил дв+ести пятьдес+ят рубл+ей на к+офе.",
    "Потр+атил ст+о рубл+ей на парк+овку.",
    "Ск+олько я потр+атил за нед+елю на прод+укты?",
    "Вчер+а куп+ила кн+игу за пятьс+от рубл+ей.",
    "Потр+атил чет+ыреста рубл+ей на такс+и.",
    "Куп+ил под+арок за дв+е т+ысячи рубл+ей.",
)
LONG_KEYS: Final = (("ужин в ресторане",), ("на парковку",))


def main() -> int:
    """Write all samples and the manifest."""
    if lacking := need():
        sys.stderr.write(f"these Debian packages are missing: {', '.join(lacking)}\n")
        return 1
    spoken = {one.file: opus(("-i", "-"), given=wav(one), filters=margins(one.voice)) for one in SPOKEN}
    made = spoken | {LONG_FILE: long_note()} | sounds() | {DAMAGED_FILE: damaged(spoken[SPOKEN[0].file])}
    for file, audio in made.items():
        (FOLDER / file).write_bytes(audio)
    (FOLDER / "manifest.json").write_text(manifest(), encoding="utf-8")
    return 0


def need() -> list[str]:
    """Install what is missing, where that is possible; returns what could not be installed, and why."""
    reasons = {package: apt.install(package) for place, package in NEEDED.items() if not here(place)}
    return [f"{package} ({reason})" for package, reason in reasons.items() if reason]


def here(place: str) -> bool:
    """Whether a program or a directory of `NEEDED` is on this machine."""
    return Path(place).exists() if place.startswith("/") else shutil.which(place) is not None


def manifest() -> str:
    """The text of manifest.json: an entry for each sample, in the order of the demo's table."""
    return json.dumps([asdict(entry) for entry in entries()], ensure_ascii=False, indent=2) + "\n"


def entries() -> list[Note]:
    """The manifest's entry of each sample. Makes no audio."""
    how = f"{MSU.name}, {LONG_PAUSE} s between sentences; Opus 16 kbit/s"
    title = "A minute and a half, many sentences"
    noise = "ffmpeg anoisesrc (pink, amplitude 0.05, seed 7), 4 s"
    damage = f"{SPOKEN[0].file}, all bits after its header pages turned over"
    return [
        *map(_entry, SPOKEN),
        Note(LONG_FILE, title, "ru", "text", plain(" ".join(LONG)), LONG_KEYS, "", how),
        _wordless("silence.ogg", "Silence", "no_speech", "ffmpeg anullsrc, 3 s"),
        _wordless("noise.ogg", "Noise", "no_speech", noise),
        _wordless(DAMAGED_FILE, "A damaged file", "audio_unreadable", damage),
    ]


def sounds() -> dict[str, bytes]:
    """Silence and noise."""
    silence = ("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono")
    noise = ("-f", "lavfi", "-i", "anoisesrc=r=48000:c=pink:a=0.05:s=7")
    return {"silence.ogg": opus(silence, filters="atrim=0:3"), "noise.ogg": opus(noise, filters="atrim=0:4")}


def _entry(one: Spoken) -> Note:
    made = f"{one.voice.name}; Opus 24 kbit/s"
    return Note(one.file, one.title, one.file.partition("-")[0], "text", plain(one.text), one.keys, one.only, made)


def _wordless(file: str, title: str, expect: str, made: str) -> Note:
    return Note(file, title, "ru", expect, "", (), "", made)


def plain(text: str) -> str:
    """Without stress marks."""
    return text.replace("+", "")


def wav(one: Spoken) -> bytes:
    """One sentence."""
    return run(*one.voice.command, given=one.text.encode())


def margins(voice: Voice) -> str:
    """The moment before and after that a thumb leaves, at the loudness of the others."""
    return f"volume={voice.gain}dB,adelay=250,apad=pad_dur=0.35"


def long_note() -> bytes:
    """All sentences of `LONG`, `LONG_PAUSE` seconds apart."""
    pause = bytes(int(LONG_PAUSE * RATE) * 2)
    raw = pause.join(run(*DECODE, given=run(*MSU.command, given=text.encode())) for text in LONG)
    return opus(("-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-"), given=raw, bitrate="16k")


def opus(source: tuple[str, ...], *, given: bytes = b"", filters: str = "anull", bitrate: str = "24k") -> bytes:
    """OGG/Opus as a messenger sends it: mono, 48 kHz; bit-exact flags keep dates and random stream numbers out."""
    form = {
        "af": filters,
        "ac": "1",
        "ar": "48000",
        "c:a": "libopus",
        "b:a": bitrate,
        "application": "voip",
        "map_metadata": "-1",
        "fflags": "+bitexact",
        "flags:a": "+bitexact",
        "f": "ogg",
    }
    options = chain.from_iterable((f"-{name}", value) for name, value in form.items())
    return run("ffmpeg", "-v", "error", *source, *options, "-", given=given)


def damaged(audio: bytes) -> bytes:
    """The same file with every bit after its two header pages turned over: begins as Ogg/Opus, holds nothing."""
    third = [at for at in range(len(audio)) if audio.startswith(b"OggS", at)][2]
    return audio[:third] + bytes(byte ^ 0xFF for byte in audio[third:])


def run(*command: str, given: bytes = b"") -> bytes:
    """One program's output; raises `CalledProcessError` with its own words printed."""
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - our own


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
