"""What reports share: records as tables, words, style."""
