"""Slots: searching them, keeping them in line with the working hours, withdrawing them."""
