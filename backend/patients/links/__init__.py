"""Which accounts act for which patients: dependants, grants by staff, and joining a record by proof."""
