"""Requests and responses about visit types."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from backend.accounts.access import is_staff
from backend.accounts.documents import Language, User
from backend.accounts.fields import example
from backend.accounts.schemas import WebAddress, left_out
from backend.core.http.fields import Id, Line, Request, Response, Text
from backend.directory.visit_types.documents import BookableBy, VisitType

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"
_EXAMPLE: dict[str, Any] = {
    "names": {"en": "First visit", "es": "Primera visita"},
    "minutes": 40,
    "buffer_minutes": 10,
    "minimum_notice_minutes": 120,
    "cancellation_notice_minutes": 1440,
    "open_bookings_per_patient": 1,
    "bookable_by": "online",
    "doctor_ids": [],
    "department_ids": [_EXAMPLE_ID],
    "instructions": {"en": "Please come fasting.", "es": "Venga en ayunas, por favor."},
    "telehealth_url": None,
}
MOST_NOTICE = 30 * 24 * 60


def _distinct(ids: list[Id]) -> list[Id]:
    return list(dict.fromkeys(ids))


Names = Annotated[dict[Language, Line], Field(min_length=1, description="The name in each language.")]
Minutes = Annotated[
    int, Field(ge=5, le=480, multiple_of=5, description="How long the patient is there: 5 to 480 minutes.")
]
Buffer = Annotated[
    int,
    Field(
        ge=0, le=120, multiple_of=5, description="Minutes after the visit in which nobody else can book the doctor."
    ),
]
MinimumNotice = Annotated[
    int, Field(ge=0, le=MOST_NOTICE, description="Patients must book this many minutes before the start.")
]
CancellationNotice = Annotated[
    int,
    Field(ge=0, le=MOST_NOTICE, description="Patients can cancel and reschedule until this many minutes before."),
]
OpenBookings = Annotated[
    Annotated[int, Field(ge=1, le=20)] | None,
    Field(description="How many coming visits of this type a patient can book. Null: no limit."),
]
Ids = Annotated[
    list[Id],
    Field(
        max_length=100, description="Who offers it. Without doctors and departments, all doctors of the clinic do."
    ),
    AfterValidator(_distinct),
]
Instructions = Annotated[
    dict[Language, Annotated[Text, Field(min_length=1, max_length=300)]],
    Field(description="What the patient should know or bring, in each language. It is part of messages."),
]


class NewVisitType(Request):
    """A new visit type. Only administrators see `telehealth_url`; patients get it with their appointment."""

    model_config = example(**_EXAMPLE)

    names: Names
    minutes: Minutes
    buffer_minutes: Buffer = 0
    minimum_notice_minutes: MinimumNotice = 0
    cancellation_notice_minutes: CancellationNotice = 0
    open_bookings_per_patient: OpenBookings = None
    bookable_by: BookableBy = BookableBy.ONLINE
    doctor_ids: Ids = []
    department_ids: Ids = []
    instructions: Instructions = {}
    telehealth_url: WebAddress | None = None


class VisitTypePatch(Request):
    """Changes to a visit type. Fields left out stay. Appointments that are booked keep their length."""

    model_config = example(minutes=30, telehealth_url=None)

    names: Names = left_out()
    minutes: Minutes = left_out()
    buffer_minutes: Buffer = left_out()
    minimum_notice_minutes: MinimumNotice = left_out()
    cancellation_notice_minutes: CancellationNotice = left_out()
    open_bookings_per_patient: OpenBookings = None
    bookable_by: BookableBy = left_out()
    doctor_ids: Ids = left_out()
    department_ids: Ids = left_out()
    instructions: Instructions = left_out()
    telehealth_url: WebAddress | None = None
    is_active: Literal[True] = left_out(description="True reactivates; `DELETE` deactivates.")


class VisitTypeOut(Response):
    """A visit type of a clinic. Lengths and notices are minutes."""

    model_config = example(
        id=_EXAMPLE_ID,
        clinic_id=_EXAMPLE_ID,
        name="First visit",
        **_EXAMPLE,
        is_telehealth=False,
        is_active=True,
        created_at="2026-01-05T09:00:00Z",
        updated_at="2026-11-20T08:15:00Z",
    )

    id: Id
    clinic_id: Id
    names: dict[Language, str]
    name: str = Field(description="The name in the clinic's language.")
    minutes: int
    buffer_minutes: int
    minimum_notice_minutes: int
    cancellation_notice_minutes: int
    open_bookings_per_patient: int | None
    bookable_by: BookableBy
    doctor_ids: list[Id]
    department_ids: list[Id]
    instructions: dict[Language, str]
    is_telehealth: bool
    telehealth_url: str | None = Field(description="For staff; null for everybody else.")
    is_active: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, visit_type: VisitType, viewer: User | None) -> "VisitTypeOut":
        """Returns the visit type as a viewer may see it."""
        shown = visit_type.model_dump() | {"is_telehealth": visit_type.telehealth_url is not None}
        if not is_staff(viewer):
            shown["telehealth_url"] = None
        return cls.model_validate(shown)
