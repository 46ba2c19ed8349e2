"""The appointment: one document that holds its status, its history and its pending messages."""

from datetime import datetime
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel

from backend.accounts.documents import Language, Role
from backend.core.clock import EPOCH, utc_now
from backend.scheduling.decisions.documents import DecisionCause
from backend.scheduling.documents import HeldSeat


class Status(StrEnum):
    """The status of an appointment. `scheduled`, `confirmed` and `checked_in` hold their time."""

    SCHEDULED = "scheduled"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    LEFT = "left"  # checked in, then gone without being seen


ACTIVE = frozenset({Status.SCHEDULED, Status.CONFIRMED, Status.CHECKED_IN})


class TransitionName(StrEnum):
    """The name of a transition, as the history has it."""

    BOOK = "book"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    CHECK_IN = "check_in"
    COMPLETE = "complete"
    NO_SHOW = "no_show"
    CORRECT = "correct"
    UNDO_CHECK_IN = "undo_check_in"
    LEFT = "left"
    KEEP = "keep"  # in spite of what withdrew its time; the status stays
    EDIT = "edit"  # of the reason or the notes; the status stays


class ActorRole(StrEnum):
    """Who makes a transition: a role, or the system by itself."""

    PATIENT = Role.PATIENT.value
    DOCTOR = Role.DOCTOR.value
    NURSE = Role.NURSE.value
    ADMIN = Role.ADMIN.value
    SYSTEM = "system"


class Exemption(StrEnum):
    """A rule of the visit type that the staff need not keep, and did not."""

    MINIMUM_NOTICE = "minimum_notice"
    CANCELLATION_NOTICE = "cancellation_notice"
    OPEN_BOOKINGS = "open_bookings"


class HistoryEntry(BaseModel):
    """One transition in the history: when (UTC), by whom, and the status it led to."""

    transition: TransitionName
    status: Status
    at: datetime
    by: PydanticObjectId | None = None
    by_name: str
    by_role: ActorRole
    reason: str | None = None
    start: datetime | None = None  # that it led to, for `book` and `reschedule`
    exempt_from: list[Exemption] | None = None
    overbook_why: str | None = None  # of a fit-in


class MessageKind(StrEnum):
    """What a message is about."""

    BOOKED = "booked"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    AUTO_CANCELLED = "auto_cancelled"
    NO_SHOW = "no_show"
    CONFIRMED = "confirmed"
    CANCELLED_BY_PATIENT = "cancelled_by_patient"


class Recipient(StrEnum):
    """Who gets a message."""

    PATIENT = "patient"
    DOCTOR = "doctor"


class PendingMessage(BaseModel):
    """A message to send. The update that causes it adds it; messaging removes it once it is on the SMS log.

    `(appointment, kind, to, occurrence)` identifies it. It is about the appointment's time after `reschedule_count`
    reschedules. Only the last reminder before the start `requests_confirmation`.
    """

    kind: MessageKind
    to: Recipient
    occurrence: int
    reschedule_count: int
    pending_since: datetime
    requests_confirmation: bool = False

    @classmethod
    def about_time(
        cls, reschedule_count: int, *, kind: MessageKind, to: Recipient, now: datetime
    ) -> "PendingMessage":
        """Returns a message of which the appointment's time after that many reschedules causes only one."""
        counts = {"occurrence": reschedule_count, "reschedule_count": reschedule_count}
        return cls(kind=kind, to=to, pending_since=now, **counts)


UNDECIDED: dict[str, None] = {"needs_decision": None, "kept_despite": None}
"""Written when an appointment gets another time, or ends: no withdrawal of its time concerns it any more."""


class Appointment(Document):
    """A patient's seat in a doctor's slot, or in several in a row. Times are UTC, `clinic_day` the clinic's day.

    A fit-in is `overbooked`: the staff chose its time, and it has a seat in those slots only that had a free one.
    """

    patient_id: PydanticObjectId
    patient_name: str
    merged_from: list[PydanticObjectId] | None = None  # records from which merges brought it, the last at the end
    doctor_id: PydanticObjectId
    doctor_name: str
    specialty: str
    clinic_id: PydanticObjectId
    clinic_name: str
    time_zone: str
    visit_type_id: PydanticObjectId | None = None  # none: the default visit, one slot of the doctor's length
    visit_type_name: str | None = None
    open_number: int | None = None  # among the patient's open bookings of this type, where these are limited
    cancellation_notice_minutes: int | None = None  # of the visit type, as it was when this time was booked
    instructions: dict[Language, str] | None = None  # likewise
    seats: list[HeldSeat]  # one in each slot that the visit takes, by start
    overbooked: bool | None = None
    overbook_why: str | None = None
    overbooked_slots: list[PydanticObjectId] | None = None  # open slots of its time that had no free seat for it
    recheck_at: datetime | None = None  # when a job reads again what withdraws its time, unless the request has
    daily_number: int | None = None  # among the doctor's patients of the day, where these are limited
    clears_full_hint: bool | None = None  # its slot may be hinted as full: freeing the seat clears that
    start: datetime
    end: datetime
    clinic_day: str
    ticks: list[int]
    status: Status = Status.SCHEDULED
    active: bool = True
    needs_decision: list[DecisionCause] | None = None  # withdrawals that hit it, while nobody has decided
    kept_despite: list[DecisionCause] | None = None  # withdrawals in spite of which it takes place
    reason: str | None = None
    notes: str | None = None
    history: list[HistoryEntry] = []
    pending_messages: list[PendingMessage] = []
    remind_at: datetime | None = None  # when its reminders are looked at next; absent after the last one
    reminded_until: datetime | None = None  # reminders due until then aren't added any more
    reminders: int = 0  # how many were added so far, those for earlier times included
    confirmation_requested_at: datetime | None = None  # when the carrier took the reminder that asks for it
    auto_cancel_at: datetime | None = None  # unless confirmed before; set only once the patient was asked
    confirmation_undelivered: bool | None = None  # the patient could not be asked, so silence doesn't cancel
    reschedule_count: int = 0
    version: int = 1  # counts the writes: a transition applies only to the version that was read
    created_by: PydanticObjectId
    idempotency_key: str | None = None
    request_hash: str | None = None  # of the request that `idempotency_key` belongs to
    cancelled_at: datetime | None = None
    cancelled_by: PydanticObjectId | None = None
    cancel_reason: str | None = None
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "appointments"
        keep_nulls = False
        # The unique indexes of seats are declared with scheduling.documents.SeatClaim.
        indexes = [
            IndexModel(
                [("patient_id", ASCENDING), ("ticks", ASCENDING)],
                unique=True,
                partialFilterExpression={"active": True, "patient_id": {"$exists": True}},
            ),
            # A patient has so many open bookings of a visit type.
            IndexModel(
                [(field, ASCENDING) for field in ("patient_id", "visit_type_id", "open_number")],
                unique=True,
                partialFilterExpression={"open_number": {"$gte": 0}},
            ),
            # `$gt` matches every key. With `$type`, searches for a key would not use the index.
            IndexModel(
                [("created_by", ASCENDING), ("idempotency_key", ASCENDING)],
                unique=True,
                partialFilterExpression={"idempotency_key": {"$gt": ""}},
            ),
            *(
                IndexModel([(field, ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)])
                for field in ("patient_id", "doctor_id", "clinic_id", "status")
            ),
            IndexModel([("start", ASCENDING), ("_id", ASCENDING)]),
            # Timed work scans these. They hold only what is still to be done.
            *(
                IndexModel([(field, ASCENDING)], partialFilterExpression={field: {"$gt": EPOCH}})
                for field in ("remind_at", "auto_cancel_at", "recheck_at", "pending_messages.pending_since")
            ),
            # The appointments that need a decision: few at any time.
            IndexModel(
                [("needs_decision.since", ASCENDING), ("start", ASCENDING)],
                partialFilterExpression={"needs_decision.since": {"$gt": EPOCH}},
            ),
            # Doctor statistics and the dashboard are counted from these alone.
            IndexModel([("doctor_id", ASCENDING), ("clinic_day", ASCENDING), ("status", ASCENDING)]),
            IndexModel([("clinic_day", ASCENDING), ("time_zone", ASCENDING), ("status", ASCENDING)]),
        ]

    @property
    def time_taken_at(self) -> datetime:
        """When it was booked, or last rescheduled. UTC."""
        return max((entry.at for entry in self.history if entry.start is not None), default=self.created_at)

    @property
    def appointment_id(self) -> PydanticObjectId:
        """The id. Every stored appointment has one."""
        assert self.id is not None  # noqa: S101
        return self.id

    @property
    def slot_ids(self) -> list[PydanticObjectId]:
        """The slots in which it has a seat, by start."""
        return [held.slot for held in self.seats]

    @property
    def slot_id(self) -> PydanticObjectId | None:
        """The slot in which it starts. None for a fit-in, which starts when the staff say."""
        return None if self.overbooked else self.seats[0].slot
