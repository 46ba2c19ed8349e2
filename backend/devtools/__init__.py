"""For development and tests only: the embedded MongoDB and the simulated phone."""
