"""Outbound messages: enqueueing, claiming, sending, and recording what became of them."""
