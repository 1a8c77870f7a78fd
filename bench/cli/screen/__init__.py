"""What commands show: progress, tables, summaries."""
