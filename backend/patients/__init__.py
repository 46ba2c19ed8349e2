"""Patients: their records, and which accounts act for them."""
