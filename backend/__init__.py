"""A clinic's appointment book: an async REST API with a background scheduler. `docs/architecture.md` is the map."""

__version__ = "0.1.0"
