"""A doctor's working hours and leave."""
