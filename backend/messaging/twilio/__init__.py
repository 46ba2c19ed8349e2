"""The carrier: its client and its webhooks."""
