"""The search for open slots: first free first, and nothing that booking would refuse."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.clock import utc_now
from backend.core.http.pagination import BY_START, PageRequest, after, behind
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.core.mongo.batching import SingleFlight
from backend.core.mongo.text_search import fold
from backend.scheduling.documents import SEARCH_INDEXES, SeatClaim, Slot
from backend.scheduling.schemas import slot_page
from backend.scheduling.slots import full_hint
from backend.scheduling.slots.capacity import READ, OpenSlot, bookable, read_with_free_seats, with_free_seats

_SPARE = 10
_LARGEST_BATCH = 1000

_ALL_BOOKS = frozenset([Slot.Settings.name, SeatClaim.Settings.name])

_FEW_DAYS = timedelta(days=8)
"""A doctor's day or week, as calendars show it: few enough appointments to be read with the slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotQuery:
    """What a search asks for."""

    doctor_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None
    department_id: PydanticObjectId | None = None
    specialty: str | None = None
    city: str | None = None
    times: TimeRange = ALL_TIMES

    def query(self, now: datetime) -> dict[str, Any]:
        """The filter."""
        wanted = {**bookable(now), "known_full": False, **self._fields()}
        asked = self.times.query("start", day="$day")
        return {**wanted, **asked, "start": {**wanted["start"], **asked.get("start", {})}}

    def index(self) -> list[tuple[str, int]] | None:
        """The index that leads to what is wanted; None where the database has to choose among several.

        Left to itself it remembers its choices, and one that was good for a book of ten slots isn't for a full one.
        """
        return SEARCH_INDEXES.get(frozenset(self._fields()))

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            name: value
            for name in ("doctor_id", "clinic_id", "department_id")
            if (value := getattr(self, name)) is not None
        }
        if self.specialty is not None:
            fields["specialty_key"] = fold(self.specialty)
        if self.city is not None:
            fields["city_key"] = fold(self.city)
        return fields


_searches: SingleFlight[tuple[SlotQuery, PageRequest], tuple[list[OpenSlot], str | None]] = SingleFlight()


async def get_open(slot_id: PydanticObjectId) -> OpenSlot | None:
    """A bookable slot with its free seats, if any."""
    stored = await Slot.get_pymongo_collection().find_one({"_id": slot_id, **bookable(utc_now())}, READ)
    return None if stored is None else (await with_free_seats([stored]))[0]


async def page_of_open(wanted: SlotQuery, page: PageRequest) -> bytes:
    """The first free slots, as the JSON of `Page[SlotOut]`. Raises `BadCursor`.

    From memory, where nothing has happened since to the doctor's slots and appointments; or, where any doctor's may
    come in between, to any. It holds until the first slot begins. Those who ask for the same at once share one
    search: in a book that has just filled up it takes seconds.
    """

    async def read() -> Cacheable[bytes]:
        found, next_cursor = await _searches.load((wanted, page), _find)
        return Cacheable(
            slot_page(found, next_cursor),
            depends_on=_ALL_BOOKS if wanted.doctor_id is None else frozenset([wanted.doctor_id]),
            until=found[0].stored["start"] if found else None,
        )

    return await response_cache.load(("open slots", wanted, page), read)


async def _find(question: tuple[SlotQuery, PageRequest]) -> tuple[list[OpenSlot], str | None]:
    return await find_open(*question)


async def find_open(wanted: SlotQuery, page: PageRequest) -> tuple[list[OpenSlot], str | None]:
    """The first free slots and the cursor of the next page.

    Full slots are passed over in growing batches. Where one batch wasn't enough they are marked as full, and the next
    search doesn't meet them: see `known_full`.
    """
    query = wanted.query(utc_now())
    position = after(page, *BY_START)
    found: list[OpenSlot] = []
    size = first_size = page.limit + _SPARE
    while True:
        counted = await _read(wanted, {"$and": [query, position]}, size)
        found.extend(slot for slot in counted if slot.free)
        is_enough = len(found) > page.limit or len(counted) < size
        if size > first_size or not is_enough:
            await full_hint.mark([slot.stored for slot in counted if not slot.free])
        if len(found) > page.limit:
            return page.cut(found, lambda slot: (slot.stored["start"], slot.stored["_id"]))
        if len(counted) < size:
            return found, None
        last = counted[-1].stored
        position = behind((last["start"], last["_id"]), "start", "_id")
        size = min(size * 2, _LARGEST_BATCH)


async def _read(wanted: SlotQuery, query: dict[str, Any], size: int) -> list[OpenSlot]:
    """The first slots that a query finds, with their free seats."""
    doctor, since, until = wanted.doctor_id, wanted.times.since, wanted.times.until
    if doctor is not None and since is not None and until is not None and until - since <= _FEW_DAYS:
        return await read_with_free_seats(
            query, limit=size, of_doctor=doctor, since=since, until=until, index=wanted.index()
        )
    found = Slot.get_pymongo_collection().find(
        query, READ, sort=[("start", 1), ("_id", 1)], limit=size, batch_size=size, hint=wanted.index()
    )
    return await with_free_seats(await found.to_list())


async def next_free(doctor_id: PydanticObjectId, *, limit: int = 3) -> list[OpenSlot]:
    """The doctor's next free slots, for somebody whose choice was just taken."""
    slots, _ = await find_open(SlotQuery(doctor_id=doctor_id), PageRequest(limit=limit))
    return slots
