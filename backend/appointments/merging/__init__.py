"""What becomes of appointments when two records of a patient are merged."""
