"""One line of `sttd check`: what was looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from sttd.commands.exit_codes import Exit


class Status(StrEnum):
    """How one thing is. With a warning the daemon can still serve."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Line:
    """`step`: what to do next, empty when nothing; `code`: what the command exits with if this is the first failure."""

    check: str
    status: Status
    detail: str
    step: str = ""
    code: Exit = Exit.FAILED


def ok(check: str, detail: str) -> Line:
    """All is well."""
    return Line(check, Status.OK, detail)


def warning(check: str, detail: str, step: str) -> Line:
    """It works, but."""
    return Line(check, Status.WARNING, detail, step)


def failed(check: str, detail: str, step: str, code: Exit = Exit.FAILED) -> Line:
    """The daemon could not serve."""
    return Line(check, Status.FAILED, detail, step, code)
