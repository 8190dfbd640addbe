"""Training of models on readings with known outcomes, and their publication with manifests."""
