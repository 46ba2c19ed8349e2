"""Booking and rescheduling: finding a seat, and the one write that takes it."""
