"""Slots: searching them, keeping them in line with the working hours, who holds which seat."""
