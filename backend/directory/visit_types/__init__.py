"""Visit types: what a clinic's patients can book, how long it takes, and by which rules."""
