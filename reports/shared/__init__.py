"""Shared by reports: records as tables, words, style."""
