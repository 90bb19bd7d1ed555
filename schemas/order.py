"""Messages on the operator's exchange: what `sttd control` asks of daemons, and what each of them answers."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LogLevel = Literal["debug", "info", "warning", "error"]

VALUES: Final = {"prefetch": "prefetch", "log-level": "log_level"}
"""The commands that need a value, and its field."""


class Order(BaseModel):
    """One command. `worker`: the daemon that is meant; None: all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Literal["status", "pause", "resume", "drain", "prefetch", "log-level"]
    worker: Annotated[str, Field(max_length=255)] | None = None
    prefetch: Annotated[int, Field(ge=1, le=2000)] | None = None
    log_level: LogLevel | None = None

    @model_validator(mode="after")
    def _with_its_value(self) -> Self:
        given = {name for name in VALUES.values() if getattr(self, name) is not None}
        if given != {VALUES[name] for name in (self.command,) if name in VALUES}:
            raise ValueError(f"{self.command} and its value do not agree")
        return self


class DaemonReport(BaseModel):
    """A daemon after an order. `state`: as readiness says it; `refused`: why the order was not carried out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    worker: str
    state: str
    in_hand: int
    prefetch: int
    log_level: str
    refused: str = ""
