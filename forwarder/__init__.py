"""The forwarder: alerts from Kafka into the tools that people have, at least once and in order."""
