"""The documents are true: commands exist, links lead somewhere, tables match the code, examples hold."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.main import get_command

from sttd.commands import main as command_line
from sttd.consumer.errors import ExitCode
from sttd.consumer.side_port.metrics import Metrics
from sttd.schemas import names
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions, header_name
from sttd.service.setting_names import READ, REMOVED

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/contract/*.md"),
        *ROOT.glob("docs/benchmarks/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("tests/*/README.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
)
WIDEST = 120
PROSE = [page for page in PAGES if page.parent.name != "contract"]  # the list of languages is one line
KNOWN_PROGRAMS = set("make sttd docker pip export install rabbitmqctl rabbitmq-diagnostics promtool".split())
KNOWN_PROGRAMS |= set("apt-get ln python python3 node npm php celery systemctl kubectl curl openssl".split())
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def names_of(pages: list[Path]) -> list[str]:
    """Paths as a person writes them, for the names of tests."""
    return [str(page.relative_to(ROOT)) for page in pages]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """Every shell command of a page's blocks, less settings in front and comments behind."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = [word for word in shlex.split(line, comments=True) if not re.match(r"STTD_\w+=", word)]
            if words:
                yield words


def make_targets() -> set[str]:
    """The targets of `make`."""
    return set(
        re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )


def is_sttd_command(words: list[str]) -> bool:
    """Whether the command line has this command, with these options."""
    group: Any = get_command(command_line.build())
    for word in words:
        if not hasattr(group, "commands"):
            break
        if word not in group.commands:
            return word == "--version"
        group = group.commands[word]
    known = {option for parameter in group.params for option in parameter.opts}
    return {word for word in words if word.startswith("--")} <= known | {"--help"}


def headings(page: Path) -> set[str]:
    """The anchors of a page, as they are made from headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_command_in_a_page_is_one_that_exists(page: Path) -> None:
    """A renamed command is renamed in the docs."""
    for words in commands(page):
        program = words[0].removeprefix(".venv/bin/").removeprefix("/opt/sttd/bin/")
        assert program in KNOWN_PROGRAMS, words
        if program == "make":
            assert {word for word in words[1:] if "=" not in word} <= make_targets(), words
        if program == "sttd":
            assert is_sttd_command(words[1:]), words
        if program in {"python", "node", "php"}:
            assert (ROOT / words[1]).is_file(), words


@pytest.mark.parametrize("page", PROSE, ids=names_of(PROSE))
def test_no_line_of_prose_is_wider_than_the_code(page: Path) -> None:
    """Pages are read beside code. Rows of tables, and code, cannot always be broken."""
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    wide = [line for line in prose.splitlines() if len(line) > WIDEST and not line.lstrip().startswith("|")]
    assert not wide


@pytest.mark.parametrize(
    ("patterns", "most"),
    [(("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md"), 20_000), (("docs/benchmarks/*.md",), 5_000)],
    ids=["pages", "benchmarks"],
)
def test_the_pages_stay_short(patterns: tuple[str, ...], most: int) -> None:
    """Issue 12: who adds a fact removes one that nobody acts on.

    Counted as `cat PAGES | wc -w` counts; of pages with results, which are tables, without their figures and bars.
    """
    pages = [page for pattern in patterns for page in ROOT.glob(pattern)]
    counted = r"\S*[^\W\d_]{2}\S*" if "docs/benchmarks/*.md" in patterns else r"\S+"
    words = {str(page.relative_to(ROOT)): len(re.findall(counted, page.read_text(encoding="utf-8"))) for page in pages}

    assert sum(words.values()) < most, words


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_command_within_a_sentence_exists_too(page: Path) -> None:
    """The same for `make x` and `sttd x` in running text, but for what a page marks as not there yet."""
    text = page.read_text(encoding="utf-8").partition("## Not there yet")[0]
    for target in re.findall(r"`(?:STTD_\w+=\S+ )?make ([a-z][a-z-]*)", text):
        assert target in make_targets(), f"make {target}"
    for words in re.findall(r"`(?:\.venv/bin/)?sttd ([a-z][a-z ]*)", text):
        assert is_sttd_command(words.split()), f"sttd {words}"


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Files and headings that are linked to are there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in headings(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_setting_and_metric_that_is_named_exists(page: Path) -> None:
    """A renamed setting or metric is renamed in the text as well."""
    text = page.read_text(encoding="utf-8")
    settings = {*READ, "STTD_NAME", "STTD_GATEWAY_", "STTD_"}
    settings |= set(re.findall(r"\$\{(STTD_\w+)", COMPOSE))
    settings |= {"STTD_RABBITMQ_PASSWORD", *REMOVED}  # in the changelog, as gone
    metrics = {row.name for row in Metrics().described}

    assert set(re.findall(r"\bSTTD_[A-Z0-9_]*", text)) <= settings
    for name in re.findall(r"\bsttd_[a-z_]+", text):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in metrics or name.startswith("sttd_process_"), name


def cells(text: str, first: str) -> list[str]:
    """The cells of the first row of a table that begins with this one."""
    row = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_readmes_figures_of_base_are_those_of_the_accuracy_bench() -> None:
    """Measured again, they change in both places."""
    measured = (ROOT / "docs/benchmarks/accuracy.md").read_text(encoding="utf-8")
    fiction, prompts = (measured.split(f"\n## {name}\n")[1] for name in ("ru-festvox", "ru-prompts"))
    errors = [cells(part, "`default`")[2].partition(" ")[0] for part in (fiction, prompts)]
    seconds = float(cells(fiction, "8 to 12")[6])
    told = cells((ROOT / "README.md").read_text(encoding="utf-8"), "`base`")

    assert f"**fiction {errors[0]}, prompts {errors[1]}**" in told[1]
    assert told[2] == f"**{seconds:.1f}**"


def test_the_readme_begins_with_the_two_commands() -> None:
    """The README shows at once how to see it work and how to test it."""
    first = blocks(ROOT / "README.md", "sh")[0]

    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_examples_are_valid_in_their_language(page: Path) -> None:
    """Python parses, JSON loads, JavaScript passes Node's own check where Node is installed."""
    for block in blocks(page, "python"):
        ast.parse(block)
    for block in blocks(page, "json"):
        json.loads(block)
    node = shutil.which("node")
    for block in blocks(page, "js") if node else []:
        checked = subprocess.run(
            [str(node), "--check", "-"], input=block, text=True, capture_output=True, timeout=120, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_the_json_examples_of_the_contract_keep_their_schemas() -> None:
    """What the page shows is what the daemon takes and sends."""
    contract = ROOT / "docs" / "contract"
    request, *replies = (json.loads(block) for block in blocks(ROOT / "docs" / "contract.md", "json"))
    reply_schema = json.loads((contract / "reply.schema.json").read_text(encoding="utf-8"))

    Draft202012Validator(json.loads((contract / "request-json.schema.json").read_text(encoding="utf-8"))).validate(
        request
    )
    assert [reply["status"] for reply in replies] == ["completed", "failed"]
    for reply in replies:
        Draft202012Validator(reply_schema).validate(reply)


def test_the_contract_page_lists_every_option_and_every_code() -> None:
    """A bot developer reads one page only."""
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")

    for option in TranscriptionOptions.model_fields:
        assert f"| `{option}` | `{header_name(option)}` |" in text
    for code in ErrorCode:
        assert f"`{code}`" in text
    for kind in names.MessageType:
        assert f"`{kind}`" in text


def test_the_exit_code_table_is_complete() -> None:
    """A supervisor is configured by this table."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("### Exit codes")[2]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)] == [
        int(code) for code in ExitCode
    ]


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    """Keep a Changelog: unreleased changes are on top."""
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert sections[0] == "[Unreleased]"


def test_typer_still_gives_commands_that_can_be_asked() -> None:
    """The checks above rest on this; an empty command line would pass them all."""
    group: Any = get_command(command_line.build())

    assert isinstance(command_line.build(), typer.Typer)
    assert {"serve", "transcribe", "demo", "model"} <= set(group.commands)
