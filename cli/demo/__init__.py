"""The `nexova demo` command."""
