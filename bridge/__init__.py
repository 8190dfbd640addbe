"""The bridge: messages of other Kafka or MQTT topics, converted to readings on the readings topic."""
