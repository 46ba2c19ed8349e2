"""What messaging does when a lower package sends a signal."""

from backend.accounts.documents import Purpose
from backend.accounts.login.codes import IssuedCode, code_issued
from backend.appointments.documents import Appointment
from backend.appointments.events import deadline_missed, messages_pending
from backend.appointments.merging.move import appointment_ids_of
from backend.core.clock import utc_now
from backend.messaging import repository
from backend.messaging.content.templates import render_code
from backend.messaging.documents import CODE_HEAD_START, SmsKind, queued_message
from backend.patients.merging.events import Movement, move_previewed, records_moving
from backend.scheduling.zone_correction import ZoneCorrection, zone_corrected

_KINDS = {
    Purpose.VERIFY_PHONE: SmsKind.VERIFICATION_CODE,
    Purpose.RESET_PASSWORD: SmsKind.PASSWORD_CODE,
    Purpose.JOIN_RECORD: SmsKind.JOINING_CODE,
}


@deadline_missed.connect
async def request_call(appointment: Appointment) -> None:
    """Puts the patient on the call list: no process was running that could have received their reply."""
    await repository.add_missed_deadline_to_call_list(appointment)


@zone_corrected.connect
async def correct_zone(correction: ZoneCorrection) -> None:
    """Makes messages about these appointments show the corrected zone, and those that wait be looked at again."""
    await repository.correct_zone(correction.appointment_ids, time_zone=correction.time_zone)


@records_moving.connect
async def move_messages(movement: Movement) -> None:
    """Moves the messages of a record to the one that it was merged into, or back with the appointments."""
    target = movement.target
    if movement.is_undo:
        about = await appointment_ids_of(target.patient_id)
        movement.messages += await repository.move_back(movement.source, to=target.patient_id, about=about)
    else:
        movement.messages += await repository.move_all(movement.source, to=target.patient_id)


@move_previewed.connect
async def count_messages(movement: Movement) -> None:
    """Says how many messages would move."""
    movement.messages += await repository.count_of_patient(movement.source)


@code_issued.connect
async def enqueue_code(issued: IssuedCode) -> None:
    """Queues the message with a one-time code, in the user's language."""
    now, user = utc_now(), issued.user
    message = queued_message(
        now,
        kind=_KINDS[issued.purpose],
        user_id=user.user_id,
        body=render_code(issued.purpose, user.language or "en", issued.code),
        not_before=now - CODE_HEAD_START,
        expires_at=issued.expires_at,
    )
    await repository.insert(message)
    await messages_pending.send(None)
