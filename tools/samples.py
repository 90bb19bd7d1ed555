"""Makes the sample voice notes of sttd/samples: `python -m tools.samples` (needs espeak-ng and ffmpeg; the project itself does not).

Imports the standard library only. The sentences are ones that the bundled demo model knows; the voices are ones that it
was not trained on. The same versions of both programs give the same bytes.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "sttd" / "samples"
LONG_PAUSE: Final = 1.2
"""Seconds between the sentences of the long note."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One espeak-ng voice, `language+variant`; speed in words a minute, pitch 0 to 99."""

    name: str
    speed: int = 150
    pitch: int = 50


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of manifest.json. `expect`: `text`, `no_speech` or the code of the failure; `text`: what is spoken."""

    file: str
    title: str
    language: str
    expect: str
    text: str
    made: str


SPOKEN: Final = (
    ("ru-groceries.ogg", "Groceries", Voice("ru+f2"), "Купил продукты на две с половиной тысячи"),
    ("ru-taxi.ogg", "A taxi", Voice("ru+linda", 165, 60), "Потратила четыреста пятьдесят рублей на такси."),
    (
        "ru-lunch.ogg",
        "Lunch, yesterday",
        Voice("ru+m4", 140, 40),
        "Вчера заплатил триста двадцать рублей за обед в кафе.",
    ),
    ("ru-salary.ogg", "Salary", Voice("ru+Mario", 155, 45), "Получил зарплату сорок пять тысяч рублей."),
    ("ru-question.ogg", "A question", Voice("ru+Denis", 160, 50), "Сколько я потратил за неделю на продукты?"),
    (
        "en-coffee.ogg",
        "Coffee, in English",
        Voice("en-us+Ed", 150, 50),
        "Spent twenty five dollars on coffee this morning.",
    ),
)
LONG: Final = (
    "Купил продукты на две с половиной тысячи.",
    "Заплатила пятьсот рублей за ужин в ресторане.",
    "Получила аванс двадцать тысяч рублей.",
    "Купил хлеб за сорок рублей.",
    "Получила премию пятнадцать тысяч рублей.",
    "Потратила четыреста пятьдесят рублей на такси.",
    "Вечером купил торт за девятьсот рублей.",
    "Потратил двести рублей на кофе.",
    "Сколько я потратил за месяц на кафе?",
    "Вчера заплатил триста двадцать рублей за обед в кафе.",
    "Перевёл брату десять тысяч рублей.",
    "Получил зарплату сорок пять тысяч рублей.",
    "Заплатила четыре тысячи рублей за ремонт.",
    "Потратил сто пятьдесят рублей на метро.",
    "Перевела маме пять тысяч рублей.",
    "Купил цветы за полторы тысячи.",
    "Оплатила интернет семьсот рублей.",
    "Запиши шестьсот рублей на кино.",
    "Купила лекарства за восемьсот рублей в аптеке.",
    "В субботу купил подарок за две тысячи рублей.",
    "Добавь расход девятьсот рублей на связь.",
)
LONG_VOICES: Final = (Voice("ru+f2", 125), Voice("ru+m4", 130, 45), Voice("ru+linda", 130, 55), Voice("ru+Denis", 130))


def run(*command: str, given: bytes = b"") -> bytes:
    """One program's output; raises `CalledProcessError` with its own words printed."""
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 -- our own constant command lines


def speak(text: str, voice: Voice) -> bytes:
    """One sentence as WAV."""
    return run("espeak-ng", "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch), "--stdout", text)


def opus(source: Sequence[str], *, given: bytes = b"", filters: str = "anull", bitrate: str = "24k") -> bytes:
    """OGG/Opus as a messenger sends it: mono, 48 kHz; bit-exact flags keep dates and random stream numbers out."""
    return run(
        *(
            "ffmpeg",
            "-v",
            "error",
            *source,
            "-af",
            filters,
            "-ac",
            "1",
            "-ar",
            "48000",
            "-c:a",
            "libopus",
            "-b:a",
            bitrate,
        ),
        *(
            "-application",
            "voip",
            "-map_metadata",
            "-1",
            "-fflags",
            "+bitexact",
            "-flags:a",
            "+bitexact",
            "-f",
            "ogg",
            "-",
        ),
        given=given,
    )


def note(text: str, voice: Voice) -> bytes:
    """One spoken note, with the moment before and after that a thumb leaves."""
    return opus(("-i", "-"), given=speak(text, voice), filters="adelay=250,apad=pad_dur=0.35")


def long_note(pause: float = LONG_PAUSE) -> bytes:
    """All sentences of `LONG`, the voices taking turns, `pause` seconds apart."""
    with tempfile.TemporaryDirectory() as folder:
        inputs: list[str] = []
        for number, text in enumerate(LONG):
            path = Path(folder, f"{number}.wav")
            path.write_bytes(speak(text, LONG_VOICES[number % len(LONG_VOICES)]))
            inputs += ["-i", str(path)]
        padded = "".join(f"[{n}]apad=pad_dur={pause}[p{n}];" for n in range(len(LONG)))
        joined = "".join(f"[p{n}]" for n in range(len(LONG))) + f"concat=n={len(LONG)}:v=0:a=1"
        whole = run("ffmpeg", "-v", "error", *inputs, "-filter_complex", padded + joined, "-f", "wav", "-")
    return opus(("-i", "-"), given=whole, bitrate="16k")


def damaged(audio: bytes) -> bytes:
    """The same file with every bit after its two header pages turned over: begins as Ogg/Opus, holds nothing."""
    third = [at for at in range(len(audio)) if audio.startswith(b"OggS", at)][2]
    return audio[:third] + bytes(byte ^ 0xFF for byte in audio[third:])


def notes() -> list[tuple[Note, bytes]]:
    """Every sample with its entry in the manifest."""
    made = [(_spoken(*row), note(row[3], row[2])) for row in SPOKEN]
    voices = ", ".join(voice.name for voice in LONG_VOICES)
    how = f"espeak-ng ({voices}, taking turns), {LONG_PAUSE} s between sentences; Opus 16 kbit/s"
    made.append(
        (Note("ru-long.ogg", "A minute and a half, many sentences", "ru", "text", " ".join(LONG), how), long_note())
    )
    silence = opus(("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono"), filters="atrim=0:3")
    made.append((Note("silence.ogg", "Silence", "ru", "no_speech", "", "ffmpeg anullsrc, 3 s"), silence))
    noise = opus(("-f", "lavfi", "-i", "anoisesrc=r=48000:c=pink:a=0.05:s=7"), filters="atrim=0:4")
    made.append(
        (
            Note("noise.ogg", "Noise", "ru", "no_speech", "", "ffmpeg anoisesrc (pink, amplitude 0.05, seed 7), 4 s"),
            noise,
        )
    )
    broken = Note(
        "damaged.ogg",
        "A damaged file",
        "ru",
        "audio_unreadable",
        "",
        "ru-groceries.ogg, all bits after its header pages turned over",
    )
    made.append((broken, damaged(made[0][1])))
    return made


def _spoken(file: str, title: str, voice: Voice, text: str) -> Note:
    made = f"espeak-ng {voice.name}, speed {voice.speed}, pitch {voice.pitch}; Opus 24 kbit/s"
    return Note(file, title, file.partition("-")[0], "text", text, made)


def main() -> None:
    """Write all samples and the manifest."""
    made = notes()
    for entry, audio in made:
        (FOLDER / entry.file).write_bytes(audio)
    manifest = json.dumps([asdict(entry) for entry, _ in made], ensure_ascii=False, indent=2)
    (FOLDER / "manifest.json").write_text(manifest + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
