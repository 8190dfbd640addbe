"""Receivers of notifications, each in its own format; they know nothing of Kafka."""
