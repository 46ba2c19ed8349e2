"""Replies: reading them, and what they do."""
