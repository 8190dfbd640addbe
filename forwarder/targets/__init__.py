"""The receivers: each knows how to say a notification in its receiver's language, and nothing of Kafka."""
