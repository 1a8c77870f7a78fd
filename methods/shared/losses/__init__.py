"""Losses, as functions of a stack of models."""
