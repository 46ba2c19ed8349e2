"""Several visits of one patient, booked together: all of them or none."""
