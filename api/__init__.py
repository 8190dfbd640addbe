"""The service that programs and people ask."""
