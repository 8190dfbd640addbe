"""Trains the models from readings with known outcomes, and publishes them with their manifests."""
