"""What is known of a method without importing it: its entry, and its module's docstring."""
