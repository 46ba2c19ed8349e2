"""Messages: the SMS log and its outbox, their texts, patients' replies, and the carrier."""
