"""Whether models that run may go on running: what `make validate-models`, `-endpoints` and `validation-report` do."""
