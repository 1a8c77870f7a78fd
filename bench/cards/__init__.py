"""What a method says of itself: its entry and its docstring, read without importing it."""
