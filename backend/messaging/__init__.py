"""What the clinic says by SMS: the log that is the outbox, the carrier, replies and reports of delivery."""
