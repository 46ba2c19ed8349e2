"""Merging two records of the same person, and undoing it."""
