"""What people say of alerts, and alerts of the plant as a whole, beside the stream."""
