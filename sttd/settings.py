"""Settings of the client and the command line: name, default, bounds, one sentence each.

Reads the environment only when `load` is called.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from sttd.errors import SettingsInvalid
from sttd.schemas import names
from sttd.schemas.options import DEADLINE_AHEAD
from sttd.schemas.validation import problems
from sttd.service import setting_sources
from sttd.service.setting_sources import BrokerSettings, SourceUnreadable


def _possible(seconds: float) -> float:
    """A longer one would be refused at each call: it is the request's deadline too."""
    if DEADLINE_AHEAD.total_seconds() < seconds < math.inf:
        raise ValueError(f"must be at most {DEADLINE_AHEAD.total_seconds():,.0f} (24 h), or `inf`")
    return seconds


class ClientSettings(BrokerSettings):
    """What is passed in wins."""

    request_queue: Annotated[str, AfterValidator(names.queue_name)] = Field(
        default=names.REQUESTS, description="The queue that requests go to, unless a call names another."
    )
    timeout: Annotated[float, Field(gt=0), AfterValidator(_possible)] | None = Field(
        default=None,
        description="Longest time from call to answer, at most 86,400; `inf` waits for ever. Default: 300, and 1 more "
        "for each 4 kB of audio, at most 1,500.",
    )


def load(**given: Any) -> ClientSettings:
    """Read the settings; what is given and not None wins.

    Raises `SettingsInvalid`, one clause per wrong one, never with its value, or with the file that cannot be read.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    try:
        return setting_sources.read(ClientSettings, **wanted)
    except SourceUnreadable as error:
        raise SettingsInvalid(str(error)) from None
    except ValidationError as error:
        raise SettingsInvalid(complaints(error)) from None


def complaints(error: ValidationError) -> str:
    """One clause per wrong setting, never with its value (it may be a secret)."""
    return "; ".join(f"STTD_{name.upper()}: {problem}" for name, problem in problems(error))
