"""The status page as a browser shows it during a load run: readable, quiet, and all from one address."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import note, short_notes
from tests.support.rpc import Rpc
from tests.support.waiting import PATIENCE

LOAD_SECONDS = 45.0  # nine points of the plots


class Load(threading.Thread):
    """Notes in waves, some of them bad, until stopped."""

    def __init__(self, url: str) -> None:
        super().__init__(name="load", daemon=True)
        self._url = url
        self.stop = threading.Event()

    def run(self) -> None:
        with Rpc(self._url) as client:
            wave = 0
            while not self.stop.is_set():
                wave += 1
                for number in range(4 + 20 * (wave % 3)):
                    sample = short_notes()[number % len(short_notes())]
                    client.send(
                        sample.path.read_bytes(), headers={"stt-language": sample.language}, timestamp=int(time.time())
                    )
                client.send(note(expect="audio_unreadable").path.read_bytes())
                client.send(b"", correlation_id="empty")
                client.flush()
                self.stop.wait(4)
                client._connection.process_data_events()


@pytest.fixture(scope="module")
def busy(node: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that has been busy for a while, and still is."""
    with Broker(node) as broker:
        daemon = (
            DaemonProcess(broker.amqp_url, tmp_path_factory.mktemp("busy") / "daemon.log", slots="2")
            .start()
            .wait_ready()
        )
        load = Load(broker.amqp_url)
        load.start()
        load.join(LOAD_SECONDS)
        try:
            yield daemon
        finally:
            load.stop.set()
            load.join(PATIENCE)
            daemon.close()


@pytest.mark.parametrize(
    ("locale", "title"),
    [("en-US", "Transcripts and failures in a minute"), ("ru-RU", "Расшифровки и отказы за минуту")],
)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_is_quiet_complete_and_fits(
    busy: DaemonProcess, look: Any, dark: bool, width: int, locale: str, title: str
) -> None:
    """No complaint in the console, no request but its own, no sideways scrolling, nothing that the policy stopped."""
    watched = look(busy.url("/"), dark=dark, width=width, locale=locale)
    picture: Path = watched.picture(f"status-{locale}-{width}-{'dark' if dark else 'light'}")
    page = watched.page

    assert watched.complaints == []
    assert {url for url in watched.asked if not url.startswith("data:")} == {busy.url("/")}
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.locator("svg path.line").count() >= 4
    assert page.locator(f"h2:has-text('{title}')").count() == 1
    assert page.locator("text=audio_unreadable").count() == 1
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(17, 22, 29)" if dark else "rgb(246, 247, 249)"
    )
    assert picture.stat().st_size > 10_000


def test_it_reloads_itself(busy: DaemonProcess, look: Any) -> None:
    """Left open on a screen it stays true."""
    watched = look(busy.url("/"))

    with watched.page.expect_navigation():
        pass

    assert watched.asked.count(busy.url("/")) >= 2
    assert watched.complaints == []


def test_a_daemon_without_its_broker_says_what_is_wrong(start_lonely: DaemonProcess, look: Any) -> None:
    """Also when nothing works the page does, and names what is missing."""
    watched = look(start_lonely.url("/"))
    watched.picture("status-starting")

    assert watched.complaints == []
    assert "starting" in watched.page.title()
    assert watched.page.locator("td:has-text('not ok')").count() >= 2


@pytest.fixture
def start_lonely(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon whose broker does not exist."""
    daemon = DaemonProcess("amqp://nobody:nothing@127.0.0.1:1/", tmp_path / "daemon.log").start()
    daemon.wait_log("bus_lost")
    yield daemon
    daemon.close()
