"""Transferring a doctor's day: each appointment is rescheduled to the same time of a substitute or another date."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments import repository
from backend.appointments.booking.reschedule import reschedule
from backend.appointments.documents import Appointment
from backend.appointments.errors import TransferOntoItself
from backend.appointments.permissions import visible_to
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.scheduling.availability import instant
from backend.scheduling.errors import InThePast
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.search import find_open_at

NO_SLOT = "NO_SLOT"
"""The reason of an appointment for which there is no open slot at that time that is long enough."""


@dataclass(frozen=True, slots=True)
class DoctorDate:
    """A doctor's calendar day at their clinics."""

    doctor_id: PydanticObjectId
    date: date


@dataclass(frozen=True, slots=True)
class Transfer:
    """An appointment and the slot that it moves to. With a `reason`, the code of an error, it stays where it was."""

    appointment: Appointment
    to: OpenSlot | None
    reason: str | None = None


async def transfer_day(caller: User, source: DoctorDate, target: DoctorDate) -> list[Transfer]:
    """Moves each active appointment of a day to the same time of another, by the update of any rescheduling.

    What doesn't fit stays. It may run again: what has moved is no longer there. Raises `TransferOntoItself`,
    `InThePast`.
    """
    done = []
    for planned in await plan(caller, source, target):
        result = planned
        if planned.to is not None:
            try:
                await reschedule(planned.appointment, caller, to=planned.to.id)
            except DomainError as refusal:
                result = replace(planned, reason=refusal.code)
        done.append(result)
    return done


async def plan(caller: User, source: DoctorDate, target: DoctorDate) -> list[Transfer]:
    """Returns the active appointments of a day that the caller may see, by start, each with its slot on the target.

    Raises `TransferOntoItself`, `InThePast`.
    """
    if source == target:
        raise TransferOntoItself
    if target.date < (utc_now() - timedelta(days=1)).date():  # over in every zone
        raise InThePast
    found = await repository.find_active_of_day(source.doctor_id, source.date, scope=await visible_to(caller))
    starts = {each.id: _same_time(each, target.date) for each in found}
    slots = await find_open_at(target.doctor_id, sorted(set(starts.values())))
    by_place = {(slot.stored["clinic_id"], slot.stored["start"]): slot for slot in slots}
    planned = []
    for each in found:
        slot = by_place.get((each.clinic_id, starts[each.id]))
        # Whether a visit of some type fits, the rescheduling finds: it takes as many slots as it needs.
        is_typed = each.visit_type_id is not None
        fits = slot and (is_typed or slot.stored["end"] - slot.stored["start"] >= each.end - each.start)
        planned.append(Transfer(each, slot) if fits else Transfer(each, None, NO_SLOT))
    return planned


def _same_time(appointment: Appointment, day: date) -> datetime:
    """Returns the same wall-clock time on another day at the clinic. UTC."""
    if appointment.clinic_day == day.isoformat():
        return appointment.start
    zone = ZoneInfo(appointment.time_zone)
    wall = appointment.start.astimezone(zone)
    days = day - date.fromisoformat(appointment.clinic_day)
    return instant(wall.date() + days, wall.hour * 60 + wall.minute, zone).astimezone(UTC)
