"""Scores of predictions, and what may be concluded from them."""
