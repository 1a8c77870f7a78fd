"""One run: its options, how a cell is built from them, and what comes of it."""
