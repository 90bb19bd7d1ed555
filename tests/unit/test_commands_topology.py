"""`sttd topology` without a broker: what a difference is called, and that the base install is enough."""

import subprocess
import sys

import pytest

from sttd.commands import extras
from sttd.commands.topology.survey import _difference

SENTENCE = "PRECONDITION_FAILED - inequivalent arg '{}' for queue 'stt.dead' in vhost 'v': {}"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            SENTENCE.format("x-queue-type", "received 'quorum' but current is 'classic'"),
            "x-queue-type should be quorum, is classic",
        ),
        (
            SENTENCE.format("x-message-ttl", "received the value '5' of type 'signedint' but current is none"),
            "x-message-ttl should be 5, is none",
        ),
        (
            SENTENCE.format("x-expires", "received none but current is the value '7' of type 'byte'"),
            "x-expires should be none, is 7",
        ),
        ("PRECONDITION_FAILED - something new", "PRECONDITION_FAILED - something new"),
    ],
)
def test_a_difference_is_said_in_few_words(told: str, said: str) -> None:
    """RabbitMQ's sentence names ours first and the queue's own last.

    An unknown sentence is shown as it is.
    """
    assert _difference(RuntimeError(told)) == said


def test_operator_commands_need_the_base_install_only() -> None:
    """An operator's machine has neither model nor decoder. Each library of the extra is made impossible to import."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({(*extras.CONSUMER, 'numpy')!r}));"
        "import sttd.commands.main, sttd.consumer.bus.topology, sttd.consumer.bus.header_guard;"
        "import sttd.consumer.settings, sttd.consumer.errors"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
