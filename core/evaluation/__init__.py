"""Evaluation: how good scores, flags and alerts are, measured against labels."""
