"""tools.voices: which recordings are taken, what is corrected in their scripts, and no use of a half-fetched folder."""

import gzip
import os
from pathlib import Path

import pytest

from tools import voices

APT = """#!/bin/sh
for name in "$@"; do case $name in -*|download) ;; *) : > "${name}_1%3a2_all.deb";; esac; done
"""
UNPACK = """#!/bin/sh
mkdir -p "$3/usr" && touch "$3/usr/$(basename "$2")"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stands before the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """Put one there."""
    (folder / name).write_text(script, encoding="utf-8")
    (folder / name).chmod(0o755)


def test_a_fetched_folder_says_which_versions_are_in_it_and_nothing_is_left_beside_it(
    tmp_path: Path, programs: Path
) -> None:
    """The page of results names the versions; what was only needed on the way is removed."""
    program(programs, "apt-get", APT)
    program(programs, "dpkg-deb", UNPACK)
    directory = voices.fetch(tmp_path / "cache" / "voices")
    assert sorted((directory / "versions").read_text(encoding="utf-8").splitlines()) == sorted(
        f"{name} 1:2" for name in voices.PACKAGES
    )
    assert list((tmp_path / "cache").iterdir()) == [directory]


def test_a_package_that_does_not_unpack_leaves_no_folder_behind(tmp_path: Path, programs: Path) -> None:
    """A half-made folder would count as whole on the next run."""
    program(programs, "apt-get", APT)
    program(programs, "dpkg-deb", "#!/bin/sh\necho 'unexpected end of file' >&2\nexit 2\n")
    with pytest.raises(voices.VoicesUnavailable, match="unexpected end of file"):
        voices.fetch(tmp_path / "cache" / "voices")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run needs no network and no apt-get."""
    (tmp_path / "versions").touch()
    monkeypatch.setenv("PATH", "")
    assert voices.fetch(tmp_path) == tmp_path


def test_without_apt_get_the_command_says_one_sentence_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Debian the error is a sentence, without a traceback."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert voices.main() == 1
    told = capsys.readouterr().err
    assert "no apt-get here" in told
    assert told.count("\n") == 1


def test_prompts_without_words_are_left_out_and_the_others_are_spelt_right(tmp_path: Path) -> None:
    """Letters, single digits, silence and descriptions of sounds have no words to compare with."""
    script = (
        "; Core\n\nbeep: [a beep]\nletters/a: ей\ndigits/1n: одно\nsilence/1: (silence)\nis:\ngone: Нет файла\n"
        "digits/10: десять\nvm-star-cancel: Нажмите клавишу «взёздочка», что бы выйти.\n"
    )
    place = tmp_path / "usr/share/doc/asterisk-core-sounds-ru" / "core-sounds-ru.txt.gz"
    sounds = tmp_path / "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU"
    for folder in (place.parent, sounds / "digits", sounds / "letters", sounds / "silence"):
        folder.mkdir(parents=True)
    place.write_bytes(gzip.compress(script.encode()))
    for name in ("beep", "letters/a", "digits/1n", "silence/1", "is", "digits/10", "vm-star-cancel"):
        (sounds / f"{name}.wav").touch()
    assert [(one.name, one.text) for one in voices.utterances(tmp_path, ["ru-prompts"])] == [
        ("digits/10", "десять"),
        ("vm-star-cancel", "Нажмите клавишу «звёздочка», чтобы выйти."),
    ]


def test_the_voice_that_reads_fiction_is_read_from_its_own_script(tmp_path: Path) -> None:
    """Lines that are not an utterance are passed over.

    The stress mark stays in the script and is removed when words are compared.
    """
    folder = tmp_path / "usr/share/festival/voices/russian/msu_ru_nsh_clunits/etc"
    folder.mkdir(parents=True)
    (folder / "txt.done.data").write_text('( ru_0002 "Прядь вол+ос." )\nnothing\n', encoding="utf-8")
    (one,) = voices.utterances(tmp_path, ["ru-festvox"])
    assert (one.set, one.name, one.path.name, one.text, one.language) == (
        "ru-festvox",
        "ru_0002",
        "ru_0002.wav",
        "Прядь вол+ос.",
        "ru",
    )


def test_a_damaged_folder_is_named_with_the_next_step(tmp_path: Path) -> None:
    """A missing script is no bug of ours to be shown as a traceback."""
    with pytest.raises(voices.VoicesUnavailable, match="delete it and fetch it again"):
        voices.utterances(tmp_path, ["en-prompts"])
