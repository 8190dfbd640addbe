"""Faults on a seeded schedule against real processes and a real broker, and an oracle that says what must come out."""
