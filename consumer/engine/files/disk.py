"""A file written whole; and what went wrong with the disk that a download was to be kept on, with the next step."""

import errno
import os
import re
from pathlib import Path
from typing import Final

TROUBLES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Without "permission denied", which a forbidden network connection gives too."""

_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")


def write(path: Path, text: str) -> None:
    """Write a file that nobody ever reads half of, not even a daemon that starts at the same time. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def not_kept(reason: str) -> str:
    """The clause."""
    return f"the download cannot be kept ({reason}; STTD_MODEL_CACHE may name another place)"


def trouble(said: str) -> str | None:
    """The clause for what a library or program said; None where it said nothing of the disk."""
    numbers = (int(number) for number in _NUMBER.findall(said))
    return next((not_kept(os.strerror(number)) for number in numbers if number in TROUBLES), None)
