"""`--help` without a type behind an option that takes no value: typer shows `--json <bool>`, and people type it."""

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _PlainFlags(_Base):
    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)
        for flag in params:
            if getattr(flag, "is_flag", False):
                flag.metavar = ""
        return params


class _Command(_PlainFlags, TyperCommand):
    """A command with plain flags."""


class _Group(_PlainFlags, TyperGroup):
    """A group of commands with plain flags."""


def plain(app: typer.Typer) -> typer.Typer:
    """The same, down to the commands of its groups."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            plain(group.typer_instance)
    return app
