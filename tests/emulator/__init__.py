"""Twilio's Messages API as a process of its own, for the tests; it sends nothing to anybody."""
