"""Appointments: the document, its transitions, booking, rescheduling, and timed work."""
