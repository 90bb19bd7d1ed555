"""A visitor with Debian's Chromium: a page, the browser's complaints, every address it asked for, pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Locator, Page

from tests.support.waiting import PATIENCE

PICTURES: Final = Path(__file__).resolve().parents[2] / ".local" / "pictures"
WIDE: Final = 1000
PHONE: Final = 360


@dataclass
class Visitor:
    """One visitor on one page."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def cards(self) -> Locator:
        """The files on the page, newest first."""
        return self.page.locator(".card")

    def choose(self, *paths: Path) -> None:
        """Press the button and choose files, as with a mouse."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("#choose").click()
        chooser.value.set_files(paths)

    def wait(self, state: Literal["busy", "done", "failed", "cancelled", "held"], count: int = 1) -> None:
        """Until so many cards are in this state."""
        self.page.wait_for_function(
            "([state, n]) => document.querySelectorAll(`.card.${state}`).length === n", arg=[state, count]
        )

    def lines(self) -> list[str]:
        """The lines of the newest card, without their times."""
        return self.cards.first.locator(".segments span").all_inner_texts()

    def fits(self) -> bool:
        """Whether nothing scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))

    def picture(self, name: str) -> Path:
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    *,
    dark: bool = False,
    width: int = WIDE,
    locale: str = "en-US",
    scripts: tuple[str, ...] = (),
) -> Iterator[Visitor]:
    """Open a page in a profile of its own. `scripts` run before the page's own."""
    options: dict[str, Any] = {
        "color_scheme": "dark" if dark else "light",
        "locale": locale,
        "reduced_motion": "reduce",
    }
    context = browser.new_context(
        viewport={"width": width, "height": 800}, permissions=["clipboard-read", "clipboard-write"], **options
    )
    context.set_default_timeout(1000 * PATIENCE)
    try:
        for script in scripts:
            context.add_init_script(script)
        visitor = Visitor(context.new_page())
        visitor.page.on("console", lambda message: visitor.complaints.append(message.text))
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.on("request", lambda request: visitor.asked.append(request.url))
        # From the start: switched on in the moment of a key press, it may come after the browser has opened its own
        # dialog.
        visitor.page.on("filechooser", lambda _: None)
        visitor.page.goto(url)
        yield visitor
    finally:
        context.close()
