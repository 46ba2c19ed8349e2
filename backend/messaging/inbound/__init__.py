"""Inbound messages: what patients reply, and what it does."""
