"""Feedback on alerts, fleet alerts and the alert policy, handled beside the stream."""
