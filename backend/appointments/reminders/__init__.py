"""When patients are reminded and asked to confirm, and when silence cancels."""
