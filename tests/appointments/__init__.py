"""Booking, rescheduling, the other transitions of an appointment, and reading appointments."""
