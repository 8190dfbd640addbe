"""The bridge: messages of foreign topics, on Kafka or MQTT, as readings on the readings topic."""
