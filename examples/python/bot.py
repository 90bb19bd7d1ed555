"""A messenger bot: a voice note comes in, its text goes out, in as many messages as it takes.

`on_voice` uses two methods of a message and nothing of the messenger; README.md connects it to aiogram. To try it
without one: `python bot.py note.ogg` plays a chat on the terminal.
"""

import asyncio
import sys
import textwrap
from pathlib import Path
from typing import Protocol

from sttd import Client, errors

LONGEST_MESSAGE = 4096
"""Telegram's limit, in characters."""


class VoiceMessage(Protocol):
    """What a messenger's library gives a handler."""

    async def download(self) -> bytes:
        """The voice note's file, as it is."""

    async def answer(self, text: str) -> None:
        """Send a text in the same chat."""


async def on_voice(message: VoiceMessage, client: Client) -> None:
    """The handler: answers with the text, or with a sentence that the person can act on."""
    try:
        transcript = await client.transcribe(
            await message.download(), language="auto", languages=["ru", "en"], timeout=120
        )
    except errors.RejectedAudio as error:
        await message.answer(f"I cannot read this recording ({error.code}). Please send it again.")
    except errors.SttdClientError as error:
        print(f"not transcribed: {error}", file=sys.stderr)
        await message.answer("I cannot listen just now. Please try again in a few minutes.")
    else:
        for part in split(transcript.text) or ["There are no words in this recording."]:
            await message.answer(part)


def split(text: str, longest: int = LONGEST_MESSAGE) -> list[str]:
    """Cut a text at spaces into messages of at most `longest` characters; an empty one into none."""
    return textwrap.wrap(text, longest, replace_whitespace=False, break_on_hyphens=False)


class Played:
    """A chat on the terminal."""

    def __init__(self, path: str) -> None:
        """One voice note."""
        self._path = Path(path)

    async def download(self) -> bytes:
        """From the disk."""
        return await asyncio.to_thread(self._path.read_bytes)

    async def answer(self, text: str) -> None:
        """To stdout."""
        print(f"{self._path.name}: {text}")


async def play(path: str, client: Client) -> int:
    """One chat; 1 if there is no such file, or it cannot be read."""
    try:
        await on_voice(Played(path), client)
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def main(paths: list[str]) -> int:
    """One client for the bot's whole life, any number of notes at once."""
    async with Client() as client:
        return max(await asyncio.gather(*(play(path, client) for path in paths)), default=0)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except errors.SttdClientError as error:  # no RabbitMQ, or another address
        sys.exit(str(error))
