"""ModelPromoted: which version of a model all workers are to run."""

from schemas.message import Message, Timestamp


class ModelPromoted(Message):
    """A version became the champion of its name."""

    name: str
    version: str
    promoted_at: Timestamp
    previous: str | None = None
    reason: str
