"""The page's files as they are served: their caching, their policy, and that nothing points elsewhere."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette

from sttd.gateway import static
from sttd.gateway.static import Facts
from tests.support.waiting import PATIENCE

FOLDER: Final = Path(static.__file__).parent / "page"
FACTS: Final = Facts(model='whisper-"x"', max_bytes=1000, wants_token=True)
FILES: Final = sorted(path.name for path in FOLDER.iterdir())


def ask(path: str, method: str = "GET", facts: Facts = FACTS, **headers: str) -> httpx.Response:
    """Ask for one file, without a server."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=static.routes(facts)))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(
                method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    return asyncio.run(call())


def address(name: str) -> str:
    """Where a file is served."""
    return "/" if name == static.INDEX else f"{static.PREFIX}{name}"


@pytest.mark.parametrize("name", FILES)
def test_a_browser_that_has_a_file_is_told_so(name: str) -> None:
    """A second visit costs no more than a question; a new version is seen at once."""
    fresh = ask(address(name))
    assert (fresh.status_code, fresh.headers["cache-control"]) == (200, "no-cache")
    for known in (fresh.headers["etag"], f'"old", W/{fresh.headers["etag"]}'):
        again = ask(address(name), if_none_match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", fresh.headers["etag"])
    assert ask(address(name), if_none_match='"old"').status_code == 200
    assert ask(address(name), "HEAD").content == b""


def test_nothing_runs_but_the_files_here() -> None:
    """No inline script, no style attribute, no frame, no string that becomes markup: what is injected stays text."""
    policy = dict(part.strip().split(" ", 1) for part in ask("/").headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    html = (FOLDER / static.INDEX).read_text()
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", html) == []
    for script in FOLDER.glob("*.js"):
        assert (
            re.findall(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bconsole\.", script.read_text()
            )
            == []
        ), script


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host(name: str) -> None:
    """It works in a network without the Internet, and sends no request elsewhere."""
    assert (
        re.findall(
            r"(?:https?:)?//[a-z0-9]", (FOLDER / name).read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        )
        == []
    )


def test_the_page_is_told_what_this_gateway_wants() -> None:
    """Limit, token and model are in the page itself; a model's name cannot break out of it."""
    html = ask("/").text
    assert 'name="sttd-max-bytes" content="1000"' in html
    assert 'name="sttd-token" content="yes"' in html
    assert "whisper-&quot;x&quot;" in html
    assert 'name="sttd-token" content="no"' in ask("/", facts=Facts("m", 1, wants_token=False)).text


def test_both_languages_have_every_sentence() -> None:
    """A sentence that is missing in one language would be `undefined` on the page; so would an unused one."""
    source = (FOLDER / "words.js").read_text()
    english, russian = re.split(r"\n  ru: \{", source)
    keys = [re.findall(r"^    (\w+): \"", half, re.MULTILINE) for half in (english, russian)]
    assert keys[0] == keys[1]
    gaps = [
        sorted(re.findall(r"\{(\w+)\}", half.partition("};")[0])) for half in (english.partition("WORDS")[2], russian)
    ]
    assert gaps[0] == gaps[1]
    used = set(re.findall(r'data-say(?:-label)?="(\w+)"', (FOLDER / static.INDEX).read_text()))
    for script in ("card.js", "main.js", "problems.js", "queue.js", "recorder.js"):
        used |= {word for word in re.findall(r'"(\w+)"', (FOLDER / script).read_text()) if re.match("err[A-Z]", word)}
    assert used <= set(keys[0])


def test_a_file_that_is_not_there_is_not_found() -> None:
    """Only what was read at the start has an address."""
    assert {
        ask(f"{static.PREFIX}{name}").status_code for name in ("index.html", "../door.py", "%2e%2e/door.py", "x.js")
    } == {404}


def test_the_page_is_found_where_only_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed gateway has no module `gateway` beside `sttd`: in an image it ended at once."""
    monkeypatch.setitem(sys.modules, "gateway", None)

    assert static.INDEX in static.assets(FACTS)


RECORDER: Final = """
const [source, broken] = process.argv.slice(1);
let [open, closed] = [1, 0];
const stream = { getTracks: () => [{ stop: () => (open = 0) }] };
const mediaDevices = { getUserMedia: async () => stream };
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices }, configurable: true });
const fails = (name) => { if (name === broken) throw new DOMException("none", "NotSupportedError"); };
globalThis.MediaRecorder = class {
  static isTypeSupported() { return true; }
  constructor() { fails("MediaRecorder"); }
  start() {}
};
globalThis.AudioContext = class {
  constructor() { fails("AudioContext"); }
  createAnalyser() { fails("AnalyserNode"); }
  close() { closed += 1; }
};
const { Recorder } = await import("data:text/javascript," + encodeURIComponent(source));
const recorder = new Recorder({ tick() {} });
const told = await recorder.start().catch((error) => error.name);
console.log(JSON.stringify([told, open, recorder.running, closed]));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="node is missing here; it comes with Debian's package nodejs")
@pytest.mark.parametrize(("broken", "closed"), [("MediaRecorder", 0), ("AudioContext", 0), ("AnalyserNode", 1)])
def test_a_recording_that_cannot_begin_leaves_the_microphone_off(broken: str, closed: int) -> None:
    """The visitor has allowed it, is told that it failed, and must not be heard any further."""
    source = (FOLDER / "recorder.js").read_text(encoding="utf-8")
    program = ["node", "--input-type=module", "--eval", RECORDER, source, broken]
    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["NotSupportedError", 0, False, closed]
