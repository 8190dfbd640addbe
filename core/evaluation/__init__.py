"""Evaluation: quality figures of scores, flags and alerts against labels."""
