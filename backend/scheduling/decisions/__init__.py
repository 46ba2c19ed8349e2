"""Appointments that need a decision, because a withdrawal hit them."""
