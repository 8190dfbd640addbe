"""Input and output shared by the processes."""
