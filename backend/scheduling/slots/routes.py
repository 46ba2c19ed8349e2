"""Routes of slots: the public search, and what the staff make or take out by hand."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentStaff
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Line
from backend.core.http.json_rows import written
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.core.http.time_range import RequestedRange
from backend.directory.errors import DoctorNotFound
from backend.scheduling import errors
from backend.scheduling.access import reachable_doctor_at
from backend.scheduling.documents import SlotState
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.outcome import SyncResult
from backend.scheduling.schemas import (
    Generated,
    GenerateIn,
    SlotIn,
    SlotOut,
    WithdrawalReport,
    report,
)
from backend.scheduling.slots.manual_slots import (
    create_slot,
    generate_slots,
    get_open_slot,
    get_slot,
    remove_slot,
)
from backend.scheduling.slots.search import SlotQuery, page_of_open

router = APIRouter(tags=["slots"])


@router.get(
    "/slots",
    summary="Find open slots, first free first",
    response_model=Page[SlotOut],
    responses=responses(BadCursor),
)
async def search_slots(
    page: RequestedPage,
    times: RequestedRange,
    doctor_id: Annotated[Id | None, Query()] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    department_id: Annotated[Id | None, Query()] = None,
    specialty: Annotated[Line | None, Query(description="Case and accents don't matter.")] = None,
    city: Annotated[Line | None, Query(description="Case and accents don't matter.")] = None,
) -> Response:
    """Slots with at least one free seat, by start. What is listed here, booking accepts. Needs no login."""
    wanted = SlotQuery(
        doctor_id=doctor_id,
        clinic_id=clinic_id,
        department_id=department_id,
        specialty=specialty,
        city=city,
        times=times,
    )
    return written(await page_of_open(wanted, page))


@router.get(
    "/doctors/{doctor_id}/slots",
    summary="A doctor's open slots",
    response_model=Page[SlotOut],
    responses=responses(BadCursor),
)
async def list_doctor_slots(doctor_id: Id, page: RequestedPage, times: RequestedRange) -> Response:
    """The same search for one doctor. Needs no login. A doctor who isn't there has no slots."""
    wanted = SlotQuery(doctor_id=doctor_id, times=times)
    return written(await page_of_open(wanted, page))


@router.get("/slots/{slot_id}", summary="One open slot", responses=responses(errors.SlotNotFound))
async def get_slot_by_id(slot_id: Id) -> SlotOut:
    """A slot that is open in the book, full or not, with its free seats. Needs no login."""
    return SlotOut.of(await get_open_slot(slot_id))


@router.post(
    "/slots",
    summary="Add one slot",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        DoctorNotFound,
        errors.SlotOverlaps,
        errors.TimeNotAvailable,
        errors.NotTheDoctorsClinic,
        errors.StartNotAligned,
        errors.InThePast,
        errors.BeyondHorizon,
        errors.OutsideOpeningHours,
    ),
)
async def add_slot(body: SlotIn, caller: CurrentStaff) -> SlotOut:
    """Adds a slot outside the weekly hours. It must start on a whole multiple of five minutes, lie inside the
    clinic's opening hours and the booking horizon, and not overlap another slot of the doctor."""
    await reachable_doctor_at(caller, body.doctor_id, body.clinic_id)
    slot = await create_slot(
        doctor_id=body.doctor_id,
        clinic_id=body.clinic_id,
        start=body.start,
        minutes=body.minutes,
        capacity=body.capacity,
    )
    return SlotOut.of_empty(slot)


@router.post(
    "/slots/generate",
    summary="Add slots over a range of days",
    responses=responses(
        DoctorNotFound,
        errors.NotTheDoctorsClinic,
        errors.BeyondHorizon,
        errors.TooManySlots,
        ScheduleBusy,
    ),
)
async def generate_slots_over_range(body: GenerateIn, caller: CurrentStaff) -> Generated:
    """With `start` and `end`: slots of these hours on the weekdays of the range. Without: the slots of the weekly
    hours that are missing there, those removed by hand included. Repeating it adds nothing. At most 5,000 at once;
    what is past, closed, on leave or held already is passed over."""
    await reachable_doctor_at(caller, body.doctor_id, body.clinic_id)
    return Generated(created=await generate_slots(body))


@router.delete("/slots/{slot_id}", summary="Take a slot out", responses=responses(errors.SlotNotFound))
async def delete_slot(slot_id: Id, caller: CurrentStaff) -> WithdrawalReport:
    """Nothing can be booked in the slot once this is answered. Its booked appointments are listed and stay valid.
    The weekly hours don't bring it back; `POST /slots/generate` does."""
    slot = await get_slot(slot_id)
    try:
        await reachable_doctor_at(caller, slot.doctor_id, slot.clinic_id)
    except DoctorNotFound:
        raise errors.SlotNotFound from None
    return report(
        SyncResult(withdrawn=int(slot.state is SlotState.OPEN)), await remove_slot(slot), caller=caller
    )
