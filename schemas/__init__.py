"""The wire: every message, every topic, and the codecs between bytes and values."""
