"""The `nexova docs` command."""
