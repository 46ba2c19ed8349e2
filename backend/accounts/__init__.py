"""Who uses the system: users, passwords, tokens and sessions, roles, and who may do what."""
