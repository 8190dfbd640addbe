"""The rules: pure functions of their arguments, without I/O, clock or environment."""
