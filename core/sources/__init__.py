"""Mapping of other senders' messages to readings; each `[[source]]` of the plant file is compiled into functions."""
