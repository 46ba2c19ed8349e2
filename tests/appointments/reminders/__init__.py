"""When patients are reminded."""
