"""The connection to MongoDB, and how queries and updates are built and batched."""
