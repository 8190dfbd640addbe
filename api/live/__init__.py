"""The live view of the output topics."""
