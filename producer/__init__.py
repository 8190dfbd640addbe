"""The source of readings: a simulated plant, or recorded files, sent to Kafka."""
