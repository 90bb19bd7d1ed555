"""What `import sttd` brings into a process, and what it does not."""

import subprocess
import sys

import pytest

import sttd


def modules_after(statement: str) -> set[str]:
    """The modules of a fresh interpreter after a statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import sttd", "from sttd.consumer.audio import child"])
def test_neither_the_package_nor_the_decoder_child_imports_the_client(statement: str) -> None:
    """A bot pays for what it uses; a decoder process that holds a network client is a larger target (issue 12)."""
    assert modules_after(statement).isdisjoint({"sttd.client", "sttd.amqp", "aio_pika", "asyncio", "pydantic"})


def test_every_public_name_is_there_and_the_package_lists_them() -> None:
    """The lazy table of names and `__all__` cannot drift apart."""
    assert sorted(dir(sttd)) == sorted(sttd.__all__)
    assert all(getattr(sttd, name) is not None for name in sttd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = sttd.Clinet  # type: ignore[attr-defined]
