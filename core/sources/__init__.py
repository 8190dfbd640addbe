"""Other senders' messages as readings: each `[[source]]` of the plant file, compiled once into functions."""
