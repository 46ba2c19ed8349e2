"""Routes of slots: the public search, and the slots that staff add or remove."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from backend.accounts.access import MAY_LOG_IN, AsPatient, CurrentStaff, OptionalUser, is_staff, viewer_of
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Instant, Line
from backend.core.http.headers import set_location
from backend.core.http.json_rows import written
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.core.http.time_range import Since, TimeRange, Until
from backend.directory.errors import DoctorNotFound
from backend.directory.visit_types.errors import VisitTypeNotFound
from backend.scheduling import dry_runs, errors
from backend.scheduling.access import reachable_doctor
from backend.scheduling.documents import Slot, SlotState
from backend.scheduling.schemas import (
    DryRun,
    GenerateIn,
    GenerateReport,
    SlotIn,
    SlotOut,
    SlotPatch,
    SlotReport,
    WithdrawalReport,
    report,
)
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.manual_slots import create_slot, generate_slots, get_slot, remove_slot, set_capacity
from backend.scheduling.slots.search import SlotQuery, find_open_slot, page_of_open, read_visit
from backend.scheduling.slots.slot_sync import SyncResult

router = APIRouter(tags=["slots"])


VisitTypeId = Annotated[
    Id | None, Query(description="Find where such a visit can start. It is booked with the same `visit_type_id`.")
]


@router.get(
    "/slots",
    summary="Search open slots",
    response_model=Page[SlotOut],
    responses=responses(BadCursor, VisitTypeNotFound),
    openapi_extra=MAY_LOG_IN,
)
async def search_slots(
    request: Request,
    page: RequestedPage,
    since: Since = None,
    until: Until = None,
    doctor_id: Annotated[Id | None, Query()] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    department_id: Annotated[Id | None, Query()] = None,
    specialty: Annotated[Line | None, Query(description="Case and accents don't matter.")] = None,
    city: Annotated[Line | None, Query(description="Case and accents don't matter.")] = None,
    visit_type_id: VisitTypeId = None,
    near: Annotated[
        Instant | None,
        Query(description="RFC 3339 with an offset. Sorts by the distance from this time; the result is one page."),
    ] = None,
    as_patient: AsPatient = False,
) -> Response:
    """Returns slots with at least one free seat, by start. Booking accepts exactly these. Needs no login. With
    `visit_type_id` it returns the slots in which such a visit can start: enough free ones of the doctor follow. It
    keeps the visit type's minimum notice. Staff also find slots beyond the patients' horizon, slots that have begun,
    until their end, and slots within the notice; with `as_patient` they find what patients do."""
    wanted = SlotQuery(
        doctor_id=doctor_id,
        clinic_id=clinic_id,
        department_id=department_id,
        specialty=specialty,
        city=city,
        times=TimeRange(start=since, end=until),
        visit=await read_visit(visit_type_id),
        near=near,
        for_staff=is_staff(await viewer_of(request)) and not as_patient,
    )
    return written(await page_of_open(wanted, page))


@router.get(
    "/doctors/{doctor_id}/slots",
    summary="List a doctor's open slots",
    response_model=Page[SlotOut],
    responses=responses(BadCursor, VisitTypeNotFound),
    openapi_extra=MAY_LOG_IN,
)
async def list_doctor_slots(
    request: Request,
    doctor_id: Id,
    page: RequestedPage,
    since: Since = None,
    until: Until = None,
    visit_type_id: VisitTypeId = None,
    as_patient: AsPatient = False,
) -> Response:
    """Returns the same as the search for one doctor. Needs no login. For an unknown doctor the list is empty."""
    wanted = SlotQuery(
        doctor_id=doctor_id,
        times=TimeRange(start=since, end=until),
        visit=await read_visit(visit_type_id),
        for_staff=is_staff(await viewer_of(request)) and not as_patient,
    )
    return written(await page_of_open(wanted, page))


@router.get("/slots/{slot_id}", summary="Get an open slot", responses=responses(errors.SlotNotFound))
async def get_slot_by_id(slot_id: Id, viewer: OptionalUser, as_patient: AsPatient = False) -> SlotOut:
    """Returns an open slot that the caller could book, full or not, with its free seats. Needs no login."""
    return SlotOut.of(await find_open_slot(slot_id, for_staff=is_staff(viewer) and not as_patient))


@router.post(
    "/slots",
    summary="Create a slot",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        *(DoctorNotFound, errors.SlotOverlaps, errors.TimeNotAvailable, errors.NotTheDoctorsClinic),
        *(errors.StartNotAligned, errors.InThePast, errors.BeyondHorizon, errors.OutsideOpeningHours),
    ),
)
async def add_slot(body: SlotIn, caller: CurrentStaff, response: Response) -> SlotOut:
    """Adds a slot, which may lie outside the weekly hours. It must start on a whole multiple of five minutes, lie
    within the clinic's opening hours and the booking horizon, and not overlap another slot of the doctor."""
    await reachable_doctor(caller, body.doctor_id, at=body.clinic_id)
    slot = await create_slot(**body.model_dump())
    set_location(response, f"/slots/{slot.id}")
    return SlotOut.of(OpenSlot(slot.model_dump(by_alias=True), free=slot.capacity))


@router.post(
    "/slots/generate",
    summary="Create slots over a range of days",
    responses=responses(
        *(DoctorNotFound, errors.NotTheDoctorsClinic, errors.BeyondHorizon),
        *(errors.TooManySlots, errors.ScheduleBusy),
    ),
)
async def generate_slots_over_range(body: GenerateIn, caller: CurrentStaff) -> GenerateReport:
    """With `start` and `end`, adds slots in these hours on the weekdays of the range. Without, adds the missing slots
    of the weekly hours, including those that staff removed. Repeating the request adds nothing. It adds at most 5,000
    slots at once, and skips time that is past, closed, on leave or held by other slots."""
    await reachable_doctor(caller, body.doctor_id, at=body.clinic_id)
    return GenerateReport(created=await generate_slots(body))


@router.patch(
    "/slots/{slot_id}",
    summary="Change a slot's capacity",
    responses=responses(errors.SlotNotFound, errors.ScheduleBusy),
)
async def update_slot(slot_id: Id, body: SlotPatch, caller: CurrentStaff) -> SlotReport:
    """Changes how many patients can book the slot, until its end. It keeps its id, and later changes of the weekly
    hours' capacity don't apply to it. With fewer seats than booked appointments it stays closed until enough of them
    are cancelled; the report lists them. They stay valid."""
    slot = await _reachable_slot(caller, slot_id)
    changed, result, booked = await set_capacity(slot, body.capacity)
    shown = SlotOut.of(changed)
    return SlotReport(**shown.model_dump(), report=report(result, booked, caller=caller))


async def _reachable_slot(caller: CurrentStaff, slot_id: Id) -> Slot:
    slot = await get_slot(slot_id)
    try:
        await reachable_doctor(caller, slot.doctor_id, at=slot.clinic_id)
    except DoctorNotFound:
        raise errors.SlotNotFound from None
    return slot


@router.delete("/slots/{slot_id}", summary="Remove a slot", responses=responses(errors.SlotNotFound))
async def delete_slot(slot_id: Id, caller: CurrentStaff, dry_run: DryRun = False) -> WithdrawalReport:
    """Once the request returns, nobody can book the slot. The report lists its booked appointments; they stay valid.
    The weekly hours don't bring it back; `POST /slots/generate` does."""
    slot = await _reachable_slot(caller, slot_id)
    if dry_run:
        return report(*await dry_runs.removed_slot(slot), caller=caller)
    booked = await remove_slot(slot)
    return report(SyncResult(withdrawn=int(slot.state is SlotState.OPEN)), booked, caller=caller)
