"""Reports: the admin dashboard and the doctor statistics."""
