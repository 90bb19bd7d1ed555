"""Fixtures of the browser tier: Debian's Chromium, headless; its complaints and requests are recorded.

Owns no test data. Skipped where Chromium is not installed; `make browser` installs it where it can.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.waiting import PATIENCE

MOST_MS = 1000 * PATIENCE
PICTURES = Path(__file__).resolve().parents[2] / ".local" / "pictures"


@dataclass
class Watched:
    """A page, the browser's messages about it, and every address that it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def picture(self, name: str) -> Path:
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=MOST_MS)
    with sync_playwright() as playwright:
        # Without --no-sandbox Chromium refuses to run as root, as CI does; it opens pages of our own only.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Browser) -> Iterator[Any]:
    """Open a page: `look(url, dark=True, width=360, locale="ru-RU")`."""
    opened = []

    def open_page(url: str, *, dark: bool = False, width: int = 1280, locale: str = "en-US") -> Watched:
        context = chromium.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": 800}, locale=locale
        )
        context.set_default_timeout(MOST_MS)
        opened.append(context)
        watched = Watched(context.new_page())
        watched.page.on("console", lambda message: watched.complaints.append(message.text))
        watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        watched.page.on("request", lambda request: watched.asked.append(request.url))
        watched.page.goto(url)
        return watched

    yield open_page
    for context in opened:
        context.close()
