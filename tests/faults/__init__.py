"""Processes that die, a carrier and a database that fail: no message is lost, and none is sent twice."""
