"""What is kept of a run: records, their names, where they come from, and a lock."""
