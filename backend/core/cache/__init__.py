"""Answers kept in memory, and the change stream that invalidates them."""
