"""The forwarder: alerts from Kafka to other systems, at least once and in order."""
