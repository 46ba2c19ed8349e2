"""Booking and rescheduling: who may, what is written, and that no seat is given twice."""
