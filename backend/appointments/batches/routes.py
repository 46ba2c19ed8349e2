"""The route that books several visits together."""

from fastapi import APIRouter, Response, status

from backend.accounts.access import CurrentUser, in_hat
from backend.appointments import errors
from backend.appointments.batches.book_batch import book_batch
from backend.appointments.batches.errors import BatchGivenBack, BatchUnderWay
from backend.appointments.batches.schemas import BatchIn, BatchOut
from backend.appointments.booking.routes import SEAT_ERRORS, IdempotencyKey
from backend.appointments.documents import ActorRole
from backend.core.http.errors import responses
from backend.directory.visit_types.errors import VisitTypeNotFound
from backend.patients.errors import PatientNotFound

router = APIRouter(tags=["appointments"])


@router.post(
    "/appointments/batch",
    summary="Book several visits together",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        *(*SEAT_ERRORS, VisitTypeNotFound, errors.TooManyOpenBookings, errors.OwnAppointment),
        *(PatientNotFound, errors.PatientRequired, errors.IdempotencyKeyReused, BatchUnderWay, BatchGivenBack),
    ),
)
async def book_appointment_batch(
    body: BatchIn, caller: CurrentUser, response: Response, idempotency_key: IdempotencyKey = None
) -> BatchOut:
    """Books up to five visits of one patient: all of them, or none. An error about one of them says which: `index`,
    counted from 0. Each visit is then an appointment like any other. With an `Idempotency-Key`, a repeated request
    returns the appointments that the first one made, with the header `Idempotent-Replayed: true`. `Location` is the
    first appointment."""
    caller = in_hat(caller, as_patient=body.as_patient)
    booked = await book_batch(caller, body.as_request(idempotency_key))
    response.headers["Location"] = f"/api/v1/appointments/{booked.documents[0]['_id']}"
    if booked.is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    return BatchOut.for_role(ActorRole(caller.role.value), booked)
