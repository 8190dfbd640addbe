"""Detection: baselines, features and scores of readings."""
