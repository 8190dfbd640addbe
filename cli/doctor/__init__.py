"""The `nexova doctor` command."""
