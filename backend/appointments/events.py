"""Signals to the packages above: messages are pending, or a deadline was missed. Messaging connects to them."""

from backend.appointments.documents import Appointment
from backend.core.events import Signal

messages_pending: Signal[None] = Signal()
"""Sent after a write that added pending messages, by the process that wrote. If it is lost, messages go out later."""

deadline_missed: Signal[Appointment] = Signal()
"""Sent for an unconfirmed appointment that is kept, because nobody processed its deadline in time."""
