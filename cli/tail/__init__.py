"""The `nexova tail` command."""
