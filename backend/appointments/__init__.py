"""The appointment: its document, its life, booking, moving, and what falls due."""
