"""Booking and rescheduling: choosing a seat, and the one write that takes it."""
