"""Sending: from a pending message to its delivery report."""
