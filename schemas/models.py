"""ModelPromoted: which version of a model all workers are to run."""

from typing import Annotated

from pydantic import Field

from schemas.message import Message, Timestamp


class ModelPromoted(Message):
    """A version became the champion of its name, or what is scored beside the champion changed."""

    name: str
    version: str
    promoted_at: Timestamp
    previous: str | None = None
    reason: str
    challenger: Annotated[
        str | None, Field(description="Version that is scored on the same readings and raises nothing.")
    ] = None
