"""Many cells: what is asked for, the plan, and its execution."""
