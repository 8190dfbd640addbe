"""Kubernetes: a kustomize base with overlays, and the Strimzi resources that are made from the catalogue of topics."""
