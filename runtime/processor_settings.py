"""Settings of the processor's batches, checkpoints, limits and health checks."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.setting_types import OptionalRate


class ProcessorSettings(BaseModel):
    """Batches, checkpoints, health checks and rollbacks of the processor."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    checkpoint_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="Minimum seconds between checkpoints; published results are saved this often."
    )
    checkpoint_longest_seconds: float = Field(
        300.0, gt=0.0, le=3600.0, description="Maximum seconds of readings that are read again after a crash."
    )
    checkpoint_most_bytes: int = Field(
        33_554_432, ge=1024, description="Maximum bytes of a partition's readings that are read again after a crash."
    )
    checkpoint_share: float = Field(
        2.0, gt=0.0, le=1000.0, description="Bytes of state written for each byte of readings, before compression."
    )
    most_machines: int = Field(
        50_000,
        ge=1,
        le=10_000_000,
        description="Maximum number of machines of one partition; readings of further ones are refused.",
    )
    forget_after_days: float = Field(
        90.0, gt=0.0, le=36_500.0, description="Days of silence after which the state of a machine is deleted."
    )
    dead_letters_per_second: float = Field(
        50.0,
        gt=0.0,
        le=1e6,
        description="Maximum rate of published dead letters per second; further ones are only counted.",
    )
    batch_records: int = Field(
        6144, ge=1, le=65_536, description="Maximum number of messages of one partition in a micro-batch."
    )
    publish_scores: bool = Field(default=True, description="Publish a score for each reading to nexova.scores.")
    web_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that /metrics and /healthz listen on; use 0.0.0.0 in a container.",
    )
    web_port: int = Field(
        6066, ge=1, le=65_535, description="Port that /metrics and /healthz listen on; if unset and taken, the next."
    )
    stall_seconds: float = Field(
        60.0,
        gt=0.0,
        le=3600.0,
        description="Seconds without progress while work is waiting, after which /healthz fails.",
    )
    exit_after_stall_seconds: float = Field(
        180.0,
        gt=0.0,
        le=86_400.0,
        description="Seconds without progress after which the process exits with an error.",
    )
    status_seconds: float = Field(
        5.0, gt=0.0, le=3600.0, description="Minimum seconds between two status messages of one machine."
    )
    dead_letter_limit_per_second: OptionalRate = Field(
        None, description="Dead letters per second, averaged over a minute, at which the worker stops; empty: never."
    )
    max_message_bytes: int = Field(
        1_048_576,
        ge=1024,
        le=104_857_600,
        description="Maximum size in bytes of a message that is decoded; a larger one becomes a dead letter.",
    )
    rollback_seconds: float = Field(
        3600.0,
        ge=0.0,
        le=2_592_000.0,
        description="Seconds of the canary window after a promotion; a bad alert rate then causes a rollback; 0: none.",
    )
    rollback_readings: int = Field(
        1000,
        ge=1,
        le=100_000_000,
        description="Minimum number of readings before the alert rate of a new version is compared.",
    )
    rollback_factor: float = Field(
        3.0,
        ge=1.0,
        le=1000.0,
        description="Factor by which the alert rate may be above or below that of the previous version.",
    )
    rollback_margin: float = Field(
        0.05, ge=0.0, le=1.0, description="Share of readings by which that bound is widened on both sides."
    )

    @model_validator(mode="after")
    def _exit_comes_after_the_warning(self) -> Self:
        if self.exit_after_stall_seconds < self.stall_seconds:
            raise ValueError(
                f"exit_after_stall_seconds ({self.exit_after_stall_seconds}) must not be below "
                f"stall_seconds ({self.stall_seconds})"
            )
        return self
