"""Formats of other senders' messages that need more than JSON: schemas from a registry, and Sparkplug."""
