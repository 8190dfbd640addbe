"""State of the machines of one partition: its tables and its form in the changelog."""

from core.state.fleet import SHARDS, FleetState, shard_of

__all__ = ["SHARDS", "FleetState", "shard_of"]
