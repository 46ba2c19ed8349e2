"""Moves appointments to the record that a patient's other record was merged into, and back."""

from collections.abc import Iterable, Sequence
from typing import Any

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.appointments.merging import repository
from backend.appointments.repository import find_open_numbers
from backend.core.mongo.updates import breaks_index_on
from backend.patients.merging.events import Movement, MovingAppointment, move_previewed, records_moving

Row = dict[str, Any]

_TRIES = 10


@records_moving.connect
async def move_appointments(movement: Movement) -> None:
    """Moves the appointments one by one. Those that would put the patient in two places stay, and need a decision."""
    stuck = []
    for row in await _to_move(movement):
        outcome = await _move(row, movement)
        if outcome is None:
            stuck.append(row)
        elif outcome:
            movement.appointments.append(row["_id"])
    target = movement.target.patient_id
    for row in stuck:
        await repository.mark_conflict(row, source=movement.source, to=target)
    movement.conflicts += _conflicts(stuck, await _active_of(target) if stuck else ())
    if movement.is_undo:
        since = {"created_at": {"$gt": movement.since}, "active": True}
        rows = await repository.find_of_patient(movement.source, **since)
        movement.booked_since += [_shown(row) for row in rows if row not in stuck]


@move_previewed.connect
async def preview_appointments(movement: Movement) -> None:
    """Says which appointments would move, and which would not."""
    rows = await _to_move(movement)
    conflicts = _conflicts([row for row in rows if row["active"]], await _active_of(movement.target.patient_id))
    stuck = [each for each in conflicts if each.overlaps]
    movement.conflicts += stuck
    staying = {each.id for each in stuck}
    movement.appointments += [row["_id"] for row in rows if row["_id"] not in staying]


async def appointment_ids_of(patient_id: PydanticObjectId) -> list[PydanticObjectId]:
    """Returns the ids of all appointments of a patient, by start."""
    return [row["_id"] for row in await repository.find_of_patient(patient_id)]


async def _to_move(movement: Movement) -> Sequence[Row]:
    where = {"merged_from": movement.target.patient_id} if movement.is_undo else {}
    return await repository.find_of_patient(movement.source, **where)


async def _active_of(patient_id: PydanticObjectId) -> Sequence[Row]:
    return await repository.find_of_patient(patient_id, active=True)


async def _move(row: Row, movement: Movement) -> bool | None:
    """Returns whether the appointment moved (somebody else may have moved it); None if its time is taken.

    An open booking gets another number if the record has one with the same: together they may be more than the visit
    type allows, which only keeps the patient from booking yet another.
    """
    target = movement.target
    number = row.get("open_number")
    for _ in range(_TRIES):
        try:
            return await repository.move(
                row,
                source=movement.source,
                to=target.patient_id,
                name=target.name,
                is_undo=movement.is_undo,
                open_number=number,
            )
        except DuplicateKeyError as error:
            if breaks_index_on(error, "ticks"):
                return None
            taken = await find_open_numbers(target.patient_id, row["visit_type_id"])
            number = next(each for each in range(len(taken) + 1) if each not in taken)
    return False


def _conflicts(rows: Iterable[Row], others: Sequence[Row]) -> list[MovingAppointment]:
    """Returns appointments as a report shows them, with those of the other record at the same time."""
    return [
        _shown(row, overlaps=[other["_id"] for other in others if not set(row["ticks"]).isdisjoint(other["ticks"])])
        for row in rows
    ]


def _shown(row: Row, *, overlaps: Sequence[PydanticObjectId] = ()) -> MovingAppointment:
    fields = ("start", "end", "time_zone", "doctor_name", "clinic_name", "status")
    return MovingAppointment(id=row["_id"], overlaps=overlaps, **{field: row[field] for field in fields})
