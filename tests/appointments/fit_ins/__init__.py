"""Fit-ins: over taken time and after hours, through their life, and what withdraws their time."""
