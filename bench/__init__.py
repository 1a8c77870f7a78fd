"""Benchmark harness for cross-corpus EEG emotion recognition."""

__version__ = "0.1.0"
