"""ModelPromoted: the version of a model that all workers must run."""

from typing import Annotated

from pydantic import Field

from schemas.bounds import InputTimestamp
from schemas.message import Message


class ModelPromoted(Message):
    """A version became the champion of its name, or the champion's shadow changed."""

    name: str
    version: str
    promoted_at: InputTimestamp
    previous: str | None = None
    reason: str
    challenger: Annotated[
        str | None, Field(description="Version that scores the same readings as a shadow, without alerts.")
    ] = None
