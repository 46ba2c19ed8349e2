"""Users and their roles, logging in, and who may call a route."""
