"""The back end of a clinic's appointment book."""
