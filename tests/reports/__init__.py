"""Counting: the dashboard and the doctors' statistics."""
