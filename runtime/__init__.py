"""Input and output that the processes share."""
