"""The bridge: from topics of others, on Kafka or MQTT, to readings on ours."""
