"""The search for open slots, by start. It finds nothing that booking would refuse."""

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
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.schemas import SLOT_ROWS
from backend.scheduling.slots import full_hint, search_repository
from backend.scheduling.slots.capacity import OpenSlot, bookable, count_free_seats, with_free_seats

_SPARE = 10
_LARGEST_BATCH = 1000

_ALL_BOOKS = frozenset([Slot.Settings.name, SeatClaim.Settings.name])

_FEW_DAYS = timedelta(days=8)
"""A doctor's day or week, as calendars show it: few enough appointments to read them with the slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotQuery:
    """The filters of a search."""

    doctor_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None
    department_id: PydanticObjectId | None = None
    specialty: str | None = None
    city: str | None = None
    times: TimeRange = ALL_TIMES

    def query(self, now: datetime) -> dict[str, Any]:
        """Returns the filter for the database."""
        wanted = {**bookable(now), "known_full": False, **self._fields()}
        times = self.times.query("start", day="$day")
        return {**wanted, **times, "start": {**wanted["start"], **times.get("start", {})}}

    def index(self) -> list[tuple[str, int]] | None:
        """Returns the index for just these filters; None where the database has to choose among several.

        The database remembers its choices, and a choice that was good for ten slots isn't for a full book.
        """
        return SEARCH_INDEXES.get(frozenset(self._fields()))

    def _fields(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("doctor_id", "clinic_id", "department_id")}
        fields["specialty_key"] = None if self.specialty is None else fold(self.specialty)
        fields["city_key"] = None if self.city is None else fold(self.city)
        return {name: value for name, value in fields.items() if value is not None}


_searches: SingleFlight[tuple[SlotQuery, PageRequest], tuple[list[OpenSlot], str | None]] = SingleFlight()


async def find_open_slot(slot_id: PydanticObjectId) -> OpenSlot:
    """Returns a slot that is open, full or not, with its free seats. Raises `SlotNotFound`."""
    where = {"_id": slot_id, **bookable(utc_now())}
    for slot in await with_free_seats(await search_repository.find_rows(where, limit=1, index=[("_id", 1)])):
        return slot
    raise SlotNotFound


async def page_of_open(wanted: SlotQuery, page: PageRequest) -> bytes:
    """Returns the first free slots as the JSON of `Page[SlotOut]`. Raises `BadCursor`.

    The page comes from the cache unless the doctor's slots or appointments have changed since; where other doctors'
    slots may come in between, unless any have. It is valid until its first slot begins. Equal searches at the same
    moment share one read: in a book that has just filled up it takes seconds.
    """

    async def read() -> Cacheable[bytes]:
        found, next_cursor = await _searches.load((wanted, page), lambda key: find_open(*key))
        return Cacheable(
            SLOT_ROWS.page(({**slot.stored, "free": slot.free} for slot in found), next_cursor),
            depends_on=_ALL_BOOKS if wanted.doctor_id is None else frozenset([wanted.doctor_id]),
            until=found[0].stored["start"] if found else None,
        )

    return await response_cache.load(("open slots", wanted, page), read)


async def find_open(wanted: SlotQuery, page: PageRequest) -> tuple[list[OpenSlot], str | None]:
    """Returns the first free slots and the cursor of the next page.

    It skips full slots in growing batches. If one batch wasn't enough, it marks them as full, so that the next search
    skips them in the index: see `full_hint`.
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
            await full_hint.mark_full([slot.stored for slot in counted if not slot.free])
        if len(found) > page.limit:
            return page.cut(found, lambda slot: (slot.stored["start"], slot.stored["_id"]))
        if len(counted) < size:
            return found, None
        last = counted[-1].stored
        position = behind((last["start"], last["_id"]), "start", "_id")
        size = min(size * 2, _LARGEST_BATCH)


async def _read(wanted: SlotQuery, query: dict[str, Any], size: int) -> list[OpenSlot]:
    """Returns the first slots that a query finds, with their free seats."""
    doctor, since, until, index = wanted.doctor_id, wanted.times.since, wanted.times.until, wanted.index()
    if doctor is not None and since is not None and until is not None and until - since <= _FEW_DAYS:
        slots, claims = await search_repository.find_rows_and_seats(
            query, limit=size, index=index, of_doctor=doctor, since=since, until=until
        )
        return await count_free_seats(slots, claims)
    return await with_free_seats(await search_repository.find_rows(query, limit=size, index=index))


async def next_free(doctor_id: PydanticObjectId, *, limit: int = 3) -> list[OpenSlot]:
    """Returns the doctor's next free slots, as alternatives to one that was just taken."""
    slots, _ = await find_open(SlotQuery(doctor_id=doctor_id), PageRequest(limit=limit))
    return slots
