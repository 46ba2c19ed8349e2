"""Queries of slots and of the seats claimed in them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from beanie import PydanticObjectId
from bson import encode
from bson.raw_bson import RawBSONDocument

from backend.accounts.documents import User
from backend.scheduling.documents import SEEN_THAT_DAY, SeatClaim, Slot

Row = Mapping[str, Any]

CLAIM_FIELDS = dict.fromkeys(
    ("slot_id", "seat", "reserved_seat", "doctor_id", "clinic_day", "daily_number", "active"), 1
)
"""What choosing a free seat needs to know of each claim."""


class SlotsWithClaims(NamedTuple):
    """Slots by id, the claims that compete for each, and a user. All as stored."""

    slots: Mapping[PydanticObjectId, Row]
    claims: Mapping[PydanticObjectId, Sequence[Row]]
    user: Row | None


async def find_slot(slot_id: PydanticObjectId) -> Slot | None:
    """Returns a slot, bookable or not."""
    return await Slot.get(slot_id)


async def read_slots_with_claims(
    slot_ids: Iterable[PydanticObjectId], *, user_id: PydanticObjectId | None = None
) -> SlotsWithClaims:
    """Reads slots, the doctor's claims of the slots' days and, with `user_id`, a user: one command.

    Claims are read only where there is a choice: for slots with several seats, or with a limit of patients per day.
    """
    pipeline: list[Mapping[str, Any]] = [{"$match": {"_id": {"$in": list(set(slot_ids))}}}, _WITH_CLAIMS]
    if user_id is not None:
        pipeline.append(_with_user(user_id))
    (found,) = await (await Slot.get_pymongo_collection().aggregate(pipeline)).to_list()
    return SlotsWithClaims(
        slots={slot["_id"]: slot for slot in found["slots"]},
        claims={row["_id"]: row["claims"] for row in found["claims"]},
        user=next(iter(found.get("users", ())), None),
    )


async def find_claims(
    slot_id: PydanticObjectId, *, of_doctors_day: tuple[PydanticObjectId, str] | None
) -> Sequence[Row]:
    """Returns the claims on a slot's seats, blocks included, and with `of_doctors_day` those of a doctor's day
    too."""
    in_slot: Row = {"slot_id": slot_id, "active": True}
    where = in_slot
    if of_doctors_day is not None:
        doctor_id, day = of_doctors_day
        on_day = {"doctor_id": doctor_id, "clinic_day": day, "status": {"$in": SEEN_THAT_DAY}}
        where = {"$or": [in_slot, on_day]}
    return await SeatClaim.get_pymongo_collection().find(where, CLAIM_FIELDS).to_list()


_HAS_A_CHOICE = {"$or": [{"capacity": {"$gt": 1}}, {"max_patients_per_day": {"$gt": 0}}]}

_SAME_DAY = {"$and": [{"$eq": ["$doctor_id", "$$doctor"]}, {"$eq": ["$clinic_day", "$$day"]}]}

_WITH_CLAIMS = RawBSONDocument(
    encode(
        {
            # MongoDB skips a stage that no document reaches: most slots never need the lookup.
            "$facet": {
                "slots": [{"$match": {}}],
                "claims": [
                    {"$match": _HAS_A_CHOICE},
                    {
                        "$lookup": {
                            "from": SeatClaim.Settings.name,
                            "let": {"doctor": "$doctor_id", "day": "$day"},
                            "pipeline": [
                                {"$match": {"$expr": _SAME_DAY, "status": {"$in": SEEN_THAT_DAY}}},
                                {"$project": CLAIM_FIELDS},
                            ],
                            "as": "claims",
                        }
                    },
                    {"$project": {"claims": 1}},
                ],
            }
        }
    )
)
"""Encoded once: it is the larger part of what a booking sends to the database."""


def _with_user(user_id: PydanticObjectId) -> Mapping[str, Any]:
    """Looks the user up by id alone: with the role in the filter, the server might try a slower index."""
    return {
        "$lookup": {
            "from": User.get_pymongo_collection().name,
            "pipeline": [
                {"$match": {"_id": user_id}},
                {"$project": {"name": 1, "role": 1, "is_active": 1}},
            ],
            "as": "users",
        }
    }
