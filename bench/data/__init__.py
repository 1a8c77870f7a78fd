"""From files to aligned windows of two corpora."""
