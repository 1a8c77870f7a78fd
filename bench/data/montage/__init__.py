"""Electrodes that two corpora are brought to: by name, or by interpolation on the scalp."""
