"""Benchmarks: each prints its figures; none judges them."""
