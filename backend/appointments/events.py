"""The signal that something is owed. Messaging listens; without it what is owed waits in the appointments."""

from backend.core.events import Signal

messages_pending: Signal[None] = Signal()
"""Sent after a write that owes messages, by the process that wrote. Losing it loses time, never a message."""
