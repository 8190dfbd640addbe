"""Model repository and inference."""
