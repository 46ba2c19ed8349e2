"""Booking, moving, the steps of an appointment, and reading them."""
