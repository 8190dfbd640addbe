"""The `nexova` command; it may use all other packages."""
