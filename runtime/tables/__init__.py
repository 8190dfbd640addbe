"""Tables of measurements in files: one reader for replay, history import, training and back-tests."""
