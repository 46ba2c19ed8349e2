"""Demo data, made through the services as people would make it, and a bulk path for load tests."""
