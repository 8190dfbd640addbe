"""Validation of the promoted models: `make validate-models`, `validate-endpoints` and `validation-report`."""
