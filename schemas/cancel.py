"""Messages on the control exchange: for now, cancelling a request."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Cancel(BaseModel):
    """Cancel the request that was published with this `message_id`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cancel: Annotated[str, Field(min_length=1, max_length=255)]
