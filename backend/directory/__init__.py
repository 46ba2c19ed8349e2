"""Clinics, departments, and the profiles of doctors and patients."""
