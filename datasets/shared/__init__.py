"""What corpora share: files, formats, and the simulator."""
