"""When patients are reminded and asked to confirm, and what silence means."""
