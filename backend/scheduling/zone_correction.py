"""A clinic's time zone was corrected: its appointments keep their instant, and show the clinic's new clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.core.events import Signal
from backend.directory.documents import Clinic
from backend.scheduling import repository as claims
from backend.scheduling.availability import local_day

_AT_ONCE = 500

_LONGEST_VISIT = timedelta(days=1)
"""Appointments that started this long ago may still count for a day that has not ended."""


@dataclass(frozen=True, slots=True)
class ZoneCorrection:
    """Some appointments of a clinic, and the IANA zone that they are about to show."""

    appointment_ids: Sequence[PydanticObjectId]
    time_zone: str


zone_corrected: Signal[ZoneCorrection] = Signal()
"""Sent before the appointments are written, so that a crash in between sends it again."""


async def correct_coming(clinic: Clinic, **only: Any) -> None:
    """Writes the clinic's present zone onto its coming appointments, and the calendar day that follows from it.

    `only` is a further condition. Safe to repeat. An appointment that comes to another day gives its daily number
    back: it counts there without one, as appointments do that are older than the limit.
    """
    await correct_appointments(clinic, start={"$gt": utc_now() - _LONGEST_VISIT}, **only)


async def correct_appointments(clinic: Clinic, **only: Any) -> int:
    """Does the same for all appointments that match `only`, past ones too. Returns how many it has corrected."""
    corrected = 0
    while rows := await claims.find_in_other_zone(clinic.clinic_id, clinic.time_zone, limit=_AT_ONCE, **only):
        await zone_corrected.send(ZoneCorrection([row["_id"] for row in rows], clinic.time_zone))
        days = {row["_id"]: local_day(row["start"], clinic.zone).isoformat() for row in rows}
        await claims.set_zone(rows, days, time_zone=clinic.time_zone)
        corrected += len(rows)
    return corrected
