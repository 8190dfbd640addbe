"""The stream processor: Faust around checkpointed micro-batches of readings."""
