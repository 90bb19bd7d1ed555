"""The gateway's page as visitors use it: a real browser, real files, a real daemon behind a real broker.

Pictures of every state go to .local/pictures; a person checks them when the page changes.
"""

import re
import shutil
import signal
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import pytest
from playwright.sync_api import Browser, expect
from pysubs2 import SSAFile

from sttd.gateway.problems import CLIENT_GONE
from sttd.samples import FOLDER
from sttd.schemas.reply import Transcript
from sttd.subtitles import render
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.gateway import GatewayProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.visitor import PHONE, Visitor, visiting
from tools import callers
from tools.messages import examples
from tools.rabbitmq import Node

LONG: Final = FOLDER / "ru-long.ogg"
TAXI: Final = note(text="Потратил четыреста рублей на такси.")
DAMAGED: Final = note(expect="audio_unreadable").path
SILENCE: Final = FOLDER / "silence.ogg"
TOKEN: Final = "a-token-of-a-visitor"

WATCH_PROGRESS: Final = """
window.seen = [];
new MutationObserver(() => {
  for (const part of document.querySelectorAll(".state, .draft"))
    if (!seen.includes(part.textContent)) seen.push(part.textContent);
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


@dataclass
class Stack:
    """One daemon behind two gateways: an open one, and one that needs a token and takes small files only."""

    amqp_url: str
    daemon: DaemonProcess
    open: GatewayProcess
    strict: GatewayProcess

    @contextmanager
    def daemon_stands_still(self) -> Iterator[None]:
        """Stop the daemon's process for a picture of what comes and goes."""
        self.daemon.running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemon.running.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def stack(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All that is behind the page, for all tests here."""
    folder = tmp_path_factory.mktemp("page")
    with Broker(node) as broker:
        daemon = DaemonProcess(
            broker.amqp_url, folder / "daemon.log", slots="1"
        ).start()  # one window after the other: progress is seen
        strict = {"gateway_tokens": TOKEN, "gateway_max_upload_bytes": "20000", "gateway_memory_bytes": "100000"}
        try:
            with (
                GatewayProcess(broker.amqp_url, folder / "open", model="base") as open_one,
                GatewayProcess(broker.amqp_url, folder / "strict", **strict) as strict_one,
            ):
                daemon.wait_ready()
                for gateway in (open_one, strict_one):
                    gateway.wait_health(200)
                yield Stack(broker.amqp_url, daemon, open_one, strict_one)
        finally:
            daemon.close()


@pytest.fixture
def url(stack: Stack) -> str:
    """The open gateway's page."""
    return f"{stack.open.url}/"


@pytest.fixture
def strict_url(stack: Stack) -> str:
    """The page of the gateway that needs a token."""
    return f"{stack.strict.url}/"


def quiet(visitor: Visitor, url: str, *, refused: int = 0) -> None:
    """Nothing in the console but the browser's own line for each refused call, and no request to another address."""
    own = [
        line
        for line in visitor.complaints
        if not line.startswith("Failed to load resource: the server responded with a status of 4")
    ]
    assert own == []
    assert len(visitor.complaints) == refused
    assert {address for address in visitor.asked if not address.startswith((url, f"blob:{url}"))} == set()


def saved(visitor: Visitor, form: str) -> tuple[str, str]:
    """Save the newest transcript in this form; its file's name and content."""
    with visitor.page.expect_download() as download:
        visitor.cards.first.locator(f".save[data-form={form}]").click()
    return download.value.suggested_filename, download.value.path().read_text()


def test_a_file_becomes_text_that_can_be_heard_copied_and_saved(chromium: Browser, url: str, stack: Stack) -> None:
    """The usual way by mouse: progress that rises, lines that play from their time, files like the gateway's own."""
    with visiting(chromium, url, scripts=(WATCH_PROGRESS,)) as visitor:
        page = visitor.page
        visitor.choose(LONG)
        page.wait_for_function("() => document.querySelector('.draft').textContent.length > 50")
        with stack.daemon_stands_still():
            visitor.picture("page-progress")
        visitor.wait("done")

        seen = page.evaluate("seen")
        assert any(text.startswith("Купил продукты") for text in seen)
        percents = [int(found) for text in seen for found in re.findall(r"Transcribing: (\d+)", text)]
        assert len(percents) >= 2
        assert percents == sorted(percents)
        assert len(visitor.lines()) > 15

        fifth = page.locator(".segments button").nth(4)
        fifth.click()
        expect(fifth).to_have_attribute("aria-current", "true")
        assert page.evaluate("document.querySelector('audio').currentTime") >= 14
        page.wait_for_function(
            "() => document.querySelector('audio').currentTime > 15.9 && !document.querySelector('audio').paused"
        )
        # Paused, or on a busy machine the next line would begin before the browser is asked.
        page.evaluate("document.querySelector('audio').pause(), (document.querySelector('audio').currentTime = 30)")
        expect(page.locator("[aria-current=true]")).to_have_count(1)
        begun = [at for at in page.locator(".segments time").all_inner_texts() if at <= "0:30"]
        expect(page.locator("[aria-current=true] time")).to_have_text(begun[-1])
        visitor.picture("page-light")
        for paused in (False, True):
            assert paused is page.evaluate(
                "document.querySelector('[aria-current=true]').click(), document.querySelector('audio').paused"
            )

        page.locator(".copy").click()
        expect(page.locator(".copy")).to_have_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert text == " ".join(visitor.lines())
        assert saved(visitor, "txt") == ("ru-long.txt", f"{text}\n")
        for form in ("srt", "vtt"):
            name, content = saved(visitor, form)
            assert name == f"ru-long.{form}"
            cues = [event.plaintext for event in SSAFile.from_string(content, form)]
            assert " ".join(" ".join(cues).split()) == text  # a cue has lines of 42 characters
        quiet(visitor, url)


def test_several_dropped_files_wait_their_turn(chromium: Browser, url: str, stack: Stack) -> None:
    """Files dropped anywhere on the page are taken, in order.

    A failure between stops no other; a cancelled one may be tried again.
    """
    with visiting(chromium, url) as visitor:
        page = visitor.page
        drop(visitor, LONG, TAXI.path, DAMAGED, SILENCE)
        page.locator(".card.busy .cancel").click()
        stack.open.wait(
            lambda: [line for line in stack.open.lines("request") if line["status"] == CLIENT_GONE],
            "request taken back",
        )
        visitor.wait("done", 2)
        visitor.wait("failed")
        assert page.locator(".card h2").all_inner_texts() == [path.name for path in (LONG, TAXI.path, DAMAGED, SILENCE)]
        assert "cancelled" in (visitor.cards.nth(0).get_attribute("class") or "")
        assert spoken(visitor.cards.nth(1).locator(".segments span").inner_text()) == spoken(TAXI.text)
        expect(visitor.cards.nth(2).locator(".state")).to_contain_text("No sound could be read from this file")
        expect(visitor.cards.nth(2).locator(".again")).to_be_hidden()
        expect(visitor.cards.nth(3).locator(".state")).to_contain_text("no speech was found")
        visitor.picture("page-failure")

        visitor.cards.nth(0).locator(".again").click()
        visitor.wait("done", 3)
        for _ in range(4):
            visitor.cards.first.locator(".remove").click()
        expect(visitor.cards).to_have_count(0)
        quiet(visitor, url, refused=1)


def test_subtitles_are_those_of_the_gateway(chromium: Browser, url: str) -> None:
    """Made in the browser, without a second request, and equal to `response_format=srt` and `vtt` byte for byte."""
    long = "Во вторник, если не будет дождя, мы поедем за город и посмотрим на дом, о котором ты говорил " * 2
    texts = [" Привет,\n мир. ", "a --> b", "<i>x</i> & y", "  ", "{note} kept", long, "今" * 100 + "。"]
    given = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "compression_ratio": 1.0}
    segments = [
        {"id": i, "start": i * 1800.25, "end": i * 1800.25 + i * 3, "text": text, **given}
        for i, text in enumerate(texts)
    ]
    end = len(texts) * 1800.25
    found = Transcript.model_validate({**examples.TRANSCRIPT.model_dump(), "segments": segments, "duration": end})
    with visiting(chromium, url) as visitor:
        for form in ("srt", "vtt"):
            program = "async (given) => (await import('/page/subtitles.js')).render(...given)"
            assert visitor.page.evaluate(program, [form, "", segments, found.duration]).strip() == render(found, form)
        quiet(visitor, url)


def drop(visitor: Visitor, *paths: Path) -> None:
    """Drop files on the page's heading, as dragging from a folder does."""
    given = [[path.name, list(path.read_bytes())] for path in paths]
    transfer = visitor.page.evaluate_handle(
        """(files) => {
          const transfer = new DataTransfer();
          for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
          return transfer;
        }""",
        given,
    )
    for event in ("dragover", "drop"):
        visitor.page.dispatch_event("h1", event, {"dataTransfer": transfer})


def test_the_keyboard_alone_is_enough(chromium: Browser, url: str) -> None:
    """Tab, Enter and arrows reach everything; the list of lines is one stop; the focus is always to be seen."""
    with visiting(chromium, url) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        tab_to(visitor, "#choose")
        with page.expect_file_chooser() as chooser:
            keys.press("Enter")
        chooser.value.set_files(LONG)
        visitor.wait("done")

        tab_to(visitor, ".segments button")
        keys.press("ArrowDown")
        keys.press("ArrowDown")
        keys.press("Enter")
        third = page.locator(".segments button").nth(2)
        expect(third).to_be_focused()
        expect(third).to_have_attribute("aria-current", "true")
        assert third.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
        visitor.picture("page-keyboard")
        keys.press("Enter")
        keys.press("End")
        expect(page.locator(".segments button").last).to_be_focused()
        keys.press("Tab")
        expect(page.locator(".copy")).to_be_focused()
        keys.press("Shift+Tab")
        expect(page.locator(".segments button").last).to_be_focused()
        tab_to(visitor, ".remove", key="Shift+Tab")
        keys.press("Enter")
        expect(visitor.cards).to_have_count(0)
        expect(page.locator("#choose")).to_be_focused()
        quiet(visitor, url)


def tab_to(visitor: Visitor, selector: str, key: str = "Tab") -> None:
    """Press Tab until something that fits has the focus."""
    for _ in range(20):
        visitor.page.keyboard.press(key)
        if visitor.page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{key} does not lead to {selector}")


@pytest.mark.parametrize(("locale", "heading"), [("ru-RU", "Речь в текст"), ("de-DE", "Speech to text")])
@pytest.mark.parametrize("dark", [True, False])
def test_a_phone_by_night_and_by_day(chromium: Browser, url: str, locale: str, heading: str, dark: bool) -> None:
    """At 360 pixels nothing scrolls sideways and buttons are large.

    Colours follow the system, language the browser.
    """
    with visiting(chromium, url, dark=dark, width=PHONE, locale=locale) as visitor:
        page = visitor.page
        expect(page.locator("h1")).to_have_text(heading)
        drop(visitor, TAXI.path, DAMAGED)
        visitor.wait("done")
        visitor.wait("failed")
        visitor.picture(f"page-phone-{locale}-{'dark' if dark else 'light'}")
        assert visitor.fits()
        for card in visitor.cards.all():
            # The buttons stand beside the name, not on a line of their own (issue 16).
            assert card.evaluate(
                "it => it.querySelector('h2').getBoundingClientRect().right"
                " <= it.querySelector('.corner').getBoundingClientRect().left"
            )
        heights = [
            box["height"]
            for it in page.locator("button:visible, .button:visible, select").all()
            if (box := it.bounding_box())
        ]
        assert min(heights) >= 36
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(18, 21, 28)" if dark else "rgb(245, 246, 248)")
        quiet(visitor, url, refused=1)


def test_the_language_can_be_changed_and_is_remembered(chromium: Browser, url: str) -> None:
    """Also what is on the page already changes: states, buttons, the title, names of languages."""
    with visiting(chromium, url) as visitor:
        page = visitor.page
        visitor.choose(TAXI.path)
        visitor.wait("done")
        expect(page.locator(".state")).to_contain_text("Russian")
        page.locator("#tongues button[value=ru]").click()
        expect(page.locator(".state")).to_have_text("Готово: 0:03, русский.")
        expect(page.locator(".remove")).to_have_text("Убрать")
        assert page.title() == "Речь в текст"
        assert page.evaluate("document.documentElement.lang") == "ru"
        page.reload()
        expect(page.locator("#choose")).to_have_text("Выбрать файлы")
        expect(page.locator("#language option[value=de]")).to_have_text("немецкий")
        quiet(visitor, url)


def test_options_reach_the_daemon(chromium: Browser, url: str, stack: Stack) -> None:
    """Language and translation are what was chosen; a translation asks OpenAI's other call."""
    with visiting(chromium, url) as visitor:
        page = visitor.page
        page.locator("#language").select_option("en")
        visitor.choose(note(language="en").path)
        visitor.wait("done")
        expect(page.locator(".state")).to_have_text("Done: 0:04, English.")  # of 3.9 s
        page.locator("#translate").check()
        expect(page.locator("#language")).to_be_disabled()
        visitor.choose(TAXI.path)
        visitor.wait("done", 2)
        assert stack.open.lines("request")[-1]["path"] == "/v1/audio/translations"
        quiet(visitor, url)


def test_a_gateway_with_tokens_asks_for_one(chromium: Browser, url: str, strict_url: str) -> None:
    """The field is there only where it is needed; a file waits for the right token, a wrong one is reported once."""
    with visiting(chromium, url) as visitor:
        expect(visitor.page.locator("#token")).to_be_hidden()
    with visiting(chromium, strict_url) as visitor:
        page = visitor.page
        visitor.choose(TAXI.path, SILENCE)
        visitor.wait("held", 2)
        page.locator("#token").fill("not-the-right-token")
        page.keyboard.press("Enter")
        expect(page.locator(".held .state").first).to_contain_text("does not know this token")
        visitor.picture("page-token")
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        visitor.wait("done", 2)
        page.reload()
        expect(page.locator("#token")).to_have_value(TOKEN)
        quiet(visitor, strict_url, refused=1)


def test_a_file_that_is_too_large_or_empty_is_not_sent(chromium: Browser, strict_url: str, tmp_path: Path) -> None:
    """The limit is shown at once, not after an upload."""
    empty = tmp_path / "empty.ogg"
    empty.touch()
    with visiting(chromium, strict_url) as visitor:
        visitor.choose(LONG, empty)
        visitor.wait("failed", 2)
        expect(visitor.cards.first.locator(".state")).to_contain_text("too large")
        expect(visitor.cards.last.locator(".state")).to_contain_text("is empty")
        assert not [address for address in visitor.asked if "/v1/" in address]
        quiet(visitor, strict_url)


NO_DAEMON: Final = "No daemon is at work right now"


def test_without_a_daemon_files_wait_and_go_on_by_themselves(chromium: Browser, node: Node, tmp_path: Path) -> None:
    """The visitor is told, and need not press anything; also the second file, and one that was sent already."""
    with Broker(node) as broker, ExitStack() as stack:
        settings = {"gateway_grace_seconds": "0.1", "gateway_timeout": "600"}
        gateway = stack.enter_context(GatewayProcess(broker.amqp_url, tmp_path / "gateway", **settings))
        gateway.wait_log("broker_connected")
        visitor = stack.enter_context(visiting(chromium, f"{gateway.url}/"))
        visitor.choose(TAXI.path)
        expect(visitor.page.locator(".state")).to_contain_text(NO_DAEMON)
        visitor.choose(LONG)
        expect(visitor.page.locator(".state").first).to_contain_text(NO_DAEMON)
        visitor.picture("page-no-daemon")
        daemon = DaemonProcess(broker.amqp_url, tmp_path / "daemon.log", slots="1").start()
        stack.callback(daemon.close)
        visitor.wait("done", 2)

        daemon.running.send_signal(signal.SIGSTOP)
        visitor.choose(SILENCE)
        expect(visitor.page.locator(".state").first).to_contain_text("Uploaded")
        daemon.kill()
        expect(visitor.page.locator(".state").first).to_contain_text(NO_DAEMON)
        stack.enter_context(callers.occupied(broker.amqp_url, "stt.requests"))
        expect(visitor.page.locator(".state").first).to_contain_text("Uploaded")


def test_a_gateway_that_died_is_told_as_that(chromium: Browser, tmp_path: Path) -> None:
    """The file stays on the page and can be sent again when the gateway is back."""
    away = "amqp://guest:guest@127.0.0.1:1/"
    with (
        GatewayProcess(away, tmp_path / "lonely", gateway_grace_seconds="0.1") as gateway,
        visiting(chromium, f"{gateway.url}/") as visitor,
    ):
        visitor.choose(TAXI.path)
        expect(visitor.page.locator(".state")).to_contain_text(NO_DAEMON)
        gateway.stop()
        visitor.wait("failed")
        expect(visitor.page.locator(".failed .state")).to_contain_text("The gateway does not answer")
        expect(visitor.page.locator(".again")).to_be_visible()


def test_an_answer_that_breaks_off_is_no_text(chromium: Browser, stack: Stack, tmp_path: Path) -> None:
    """Half a transcript is never shown as the whole; a message shows what happened, and the file can be sent again."""
    with GatewayProcess(stack.amqp_url, tmp_path / "short-lived") as gateway:
        gateway.wait_health(200)
        with visiting(chromium, f"{gateway.url}/") as visitor:
            visitor.choose(LONG)
            visitor.page.wait_for_function("() => document.querySelector('.draft').textContent.length > 50")
            with stack.daemon_stands_still():
                gateway.process.kill()
                visitor.wait("failed")
            expect(visitor.page.locator(".state")).to_contain_text(
                "The connection broke off before the text was complete"
            )
            expect(visitor.page.locator(".again")).to_be_visible()
            expect(visitor.page.locator(".result")).to_be_hidden()
            assert visitor.page.locator(".draft").inner_text() == ""


@pytest.fixture(scope="module")
def speaker(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone plays a sample note, once and again."""
    sound = tmp_path_factory.mktemp("microphone") / "note.wav"
    as_wav(note(text=GROCERIES).path, sound)
    fake = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    ]
    browser = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", *fake]
    )
    yield browser
    browser.close()


def as_wav(source: Path, target: Path) -> None:
    """The note as 16-bit mono WAV at 48 kHz, then two seconds of silence: the format of Chromium's fake microphone."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
    with av.open(source) as container, wave.open(str(target), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(48_000)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                sink.writeframes(bytes(part.planes[0])[: part.samples * 2])
        sink.writeframes(bytes(2 * 96_000))


def test_the_microphone_is_recorded_and_transcribed(speaker: Browser, url: str) -> None:
    """The text is what was spoken, and can be played again; a discarded recording leaves nothing."""
    with visiting(speaker, url) as visitor:
        page = visitor.page
        page.locator("#record").click()
        page.wait_for_function("() => document.getElementById('level').value > 0.05")
        page.wait_for_function("() => document.getElementById('recorded').textContent >= '0:04'")
        visitor.picture("page-recording")
        page.locator("#record").click()
        visitor.wait("done")
        assert spoken(visitor.lines()[0]) == spoken(GROCERIES)
        expect(page.locator(".card h2")).to_have_text(re.compile(r"recording-[\d-]+\.webm"))
        page.locator(".segments button").first.click()
        page.wait_for_function(
            "() => document.querySelector('audio').currentTime > 0.3 && document.querySelector('audio').duration < 10"
        )

        page.locator("#record").click()
        page.locator("#discard").click()
        expect(page.locator("#recording")).to_be_hidden()
        expect(page.locator("#record")).to_be_focused()
        expect(visitor.cards).to_have_count(1)
        quiet(visitor, url)


def test_a_double_click_on_stop_sends_one_recording(speaker: Browser, url: str) -> None:
    """The second click comes before the recorder has ended."""
    with visiting(speaker, url) as visitor:
        visitor.page.locator("#record").click()
        visitor.page.wait_for_function("() => document.getElementById('recorded').textContent >= '0:01'")
        visitor.page.evaluate("() => [1, 2].forEach(() => document.getElementById('record').click())")
        visitor.wait("done")
        expect(visitor.cards).to_have_count(1)


def test_a_microphone_that_is_refused_is_explained(chromium: Browser, url: str) -> None:
    """The page shows where to allow it."""
    with visiting(chromium, url) as visitor:
        visitor.page.locator("#record").click()
        problem = visitor.page.locator("#microphone-problem")
        expect(problem).to_contain_text("Record again")
        expect(visitor.page.locator("#record")).to_be_enabled()
        quiet(visitor, url)


def test_markup_in_a_name_stays_text(chromium: Browser, url: str, tmp_path: Path) -> None:
    """A file may be called anything."""
    odd: Any = tmp_path / "<img src=x onerror=alert(1)>.ogg"
    shutil.copy(TAXI.path, odd)
    with visiting(chromium, url) as visitor:
        visitor.choose(odd)
        visitor.wait("done")
        expect(visitor.page.locator("h2")).to_have_text(odd.name)
        assert visitor.page.locator("img").count() == 0
        quiet(visitor, url)
