"""Requests and responses about the transfer of a day."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import ConfigDict, Field, model_validator

from backend.appointments.transfer.transfer import NO_SLOT, Transfer
from backend.core.http.fields import Day, Id, Request, Response


class TransferIn(Request):
    """Where a doctor's day goes: to a substitute on the same day, or to another date of the same doctor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to_doctor_id": "671f0c0e9b1d8a0001a1b2c3"}]})

    to_doctor_id: Id | None = None
    to_date: Day | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "TransferIn":
        if (self.to_doctor_id is None) == (self.to_date is None):
            raise ValueError("give either to_doctor_id or to_date")
        return self


class TransferredOut(Response):
    """An appointment that moved, or that a dry run would move. Times are UTC; show them in `time_zone`."""

    appointment_id: Id
    patient_id: Id
    patient_name: str
    clinic_id: Id
    clinic_name: str
    time_zone: str
    start: datetime = Field(description="The start before.")
    to_doctor_id: Id
    to_slot_id: Id
    to_start: datetime


class NotTransferredOut(Response):
    """An appointment that stays where it was. Times are UTC; show them in `time_zone`."""

    appointment_id: Id
    patient_id: Id
    patient_name: str
    clinic_id: Id
    clinic_name: str
    time_zone: str
    start: datetime
    reason: str = Field(
        description="`NO_SLOT`: no open slot at that time that is long enough. Otherwise the code of the error that "
        "rescheduling it gives, for example `SLOT_TAKEN`, `DAY_FULL` or `PATIENT_DOUBLE_BOOKED`.",
        examples=["SLOT_TAKEN"],
    )


class TransferReport(Response):
    """What became of each appointment of the day, by start."""

    moved: list[TransferredOut]
    not_moved: list[NotTransferredOut]

    @classmethod
    def of(cls, transfers: Sequence[Transfer]) -> "TransferReport":
        """Builds it from what became of each appointment."""
        moved, stays = [], []
        for each in transfers:
            found = each.appointment
            shown = {**found.model_dump(include=_SHOWN), "appointment_id": found.id}
            if each.to is None or each.reason is not None:
                stays.append(NotTransferredOut(**shown, reason=each.reason or NO_SLOT))
            else:
                slot = each.to.stored
                to = {"to_doctor_id": slot["doctor_id"], "to_slot_id": each.to.id, "to_start": slot["start"]}
                moved.append(TransferredOut(**shown, **to))
        return cls(moved=moved, not_moved=stays)


_SHOWN = {"patient_id", "patient_name", "clinic_id", "clinic_name", "time_zone", "start"}
