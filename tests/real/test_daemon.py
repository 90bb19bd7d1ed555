"""A recorded sentence through a real RabbitMQ and the daemon with the real `base`, as a bot sends it."""

from pathlib import Path

import pytest

from sttd.consumer.pcm import Pcm, floats
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.human import Note, one_word
from tests.support.rpc import Rpc
from tools.audio import files
from tools.audio.sounds import RATE, hum
from tools.voices import Utterance
from tools.word_errors import errors

pytestmark = pytest.mark.timeout(1800)

MOST_ERRORS = 0.5
FEWEST_RIGHT = 4
RUSSIAN = {"stt-language": "ru"}


def test_a_sentence_goes_in_and_its_words_come_out(
    broker: Broker, tmp_path: Path, weights: Path, notes: list[Note], recordings: dict[str, list[Utterance]]
) -> None:
    """Ogg/Opus as a messenger records it, options left to the daemon; a recording of hum beside it is `no_speech`.

    Six notes of half a second, "да" or "нет", are never `no_speech`; most have the word.
    """
    note, tiny = notes[-1], one_word(recordings["ru-festvox"])
    daemon = DaemonProcess(
        broker.amqp_url, tmp_path / "daemon.log", model="base", encoder="openvino", language=note.language
    )
    try:
        daemon.start().wait_ready()
        with Rpc(broker.amqp_url) as bot:
            spoken = bot.ask(ogg(note.pcm), correlation_id="speech").body
            hummed = bot.ask(ogg(hum(4, -30)), correlation_id="hum").body
            words = [bot.ask(ogg(word.pcm), correlation_id=word.name, headers=RUSSIAN).body for word in tiny]
        assert spoken["status"] == "completed"
        assert spoken["model"]["name"] == "base"
        assert errors(note.said, spoken["text"], note.language).word_rate <= MOST_ERRORS
        assert (hummed["text"], hummed["no_speech"]) == ("", True)
        assert all(answer["text"] for answer in words)
        right = [answer["text"] for answer, word in zip(words, tiny, strict=True) if not wrong(word, answer["text"])]
        assert len(right) >= FEWEST_RIGHT, [answer["text"] for answer in words]
        assert daemon.stop() == 0
    finally:
        daemon.close()


def wrong(note: Note, text: str) -> int:
    """How many words of the script the text misses, changes or adds."""
    return errors(note.said, text, note.language).word_errors


def ogg(pcm: Pcm) -> bytes:
    """The sound as a voice note."""
    return files.encode("ogg", "libopus", RATE, "mono", floats(pcm))
