"""The `nexova backtest` command."""
