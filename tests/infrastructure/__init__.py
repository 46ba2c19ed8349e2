"""Running it: start and stop, health, logs, metrics, and what every request goes through."""
