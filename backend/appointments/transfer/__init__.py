"""Transferring a doctor's day: to a substitute, or to another date."""
