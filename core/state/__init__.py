"""State of the machines of one partition: its tables and its form in the changelog."""

from core.state.fleet import FleetState

__all__ = ["FleetState"]
