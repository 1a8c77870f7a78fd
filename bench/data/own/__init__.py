"""Windows of one's own in a file, so that a sweep and its workers find them by name."""
