"""Scores and advice for rows that arrive outside the stream."""
