"""The carrier: its client, its webhooks."""
