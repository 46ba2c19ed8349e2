"""The search for open slots, by start. It finds nothing that booking would refuse."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.clock import utc_now
from backend.core.http.pagination import BY_START, PageRequest, after, behind
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.core.mongo.batching import SingleFlight
from backend.core.mongo.text_search import fold
from backend.core.settings import settings
from backend.directory.visit_types.service import read_visit_type
from backend.scheduling.documents import EITHER, SEARCH_INDEXES, VISIT_INDEX, SeatClaim, Slot
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.repository import Row
from backend.scheduling.schemas import SLOT_ROWS
from backend.scheduling.slots import full_hint, length_hint, search_repository
from backend.scheduling.slots.capacity import OpenSlot, bookable, bookable_by_staff, count_free_seats, with_free_seats
from backend.scheduling.slots.runs import NoRun, Visit, beside, find_slots

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
    visit: Visit | None = None  # find where such a visit can start
    near: datetime | None = None  # sort by the distance from this moment, UTC
    not_doctor_id: PydanticObjectId | None = None
    for_staff: bool = False  # includes what only they can book: far ahead, begun, or on short notice

    @property
    def notice(self) -> timedelta:
        """How long before its start a slot can be booked at the latest. Staff are exempt."""
        return timedelta() if self.visit is None or self.for_staff else self.visit.notice

    def query(self, now: datetime) -> dict[str, Any]:
        """Returns the filter for the database."""
        open_now = bookable_by_staff(now) if self.for_staff else bookable(now + self.notice)
        known_full = False if settings.SLOT_HINTS_ENABLED else EITHER
        wanted = {**open_now, "known_full": known_full, **self._fields(), **self._offering()}
        if self.not_doctor_id is not None:
            wanted["doctor_id"] = {"$ne": self.not_doctor_id}
        if self.visit is not None and settings.SLOT_HINTS_ENABLED:
            wanted["known_longest"] = {"$in": length_hint.lengths_for(self.visit.length)}
        times = self.times.query("start", day="$day")
        return {**wanted, **times, "start": {**wanted["start"], **times.get("start", {})}}

    def index(self) -> list[tuple[str, int]] | None:
        """Returns the index for just these filters; None where the database has to choose among several.

        The database remembers its choices, and a choice that was good for ten slots isn't for a full book.
        """
        fields = self._fields()
        if self.visit is not None and fields.keys() == {"clinic_id"} and settings.SLOT_HINTS_ENABLED:
            return VISIT_INDEX
        if self.visit is not None and self.doctor_id is not None:
            del fields["clinic_id"]  # a doctor has few slots elsewhere
        return SEARCH_INDEXES.get(frozenset(fields))

    def _offering(self) -> dict[str, Any]:
        visit = self.visit
        if visit is None or not (visit.doctor_ids or visit.department_ids):
            return {}
        named = {"doctor_id": visit.doctor_ids, "department_id": visit.department_ids}
        return {"$or": [{field: {"$in": ids}} for field, ids in named.items() if ids]}

    def _fields(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("doctor_id", "clinic_id", "department_id")}
        if self.visit is not None:
            fields["clinic_id"] = self.visit.clinic_id
        fields["specialty_key"] = None if self.specialty is None else fold(self.specialty)
        fields["city_key"] = None if self.city is None else fold(self.city)
        return {name: value for name, value in fields.items() if value is not None}


_searches: SingleFlight[tuple[SlotQuery, PageRequest], tuple[list[OpenSlot], str | None]] = SingleFlight()


async def find_open_slot(slot_id: PydanticObjectId, *, for_staff: bool) -> OpenSlot:
    """Returns a slot that is open, full or not, with its free seats. Raises `SlotNotFound`."""
    where = {"_id": slot_id, **(bookable_by_staff if for_staff else bookable)(utc_now())}
    for slot in await with_free_seats(await search_repository.find_rows(where, limit=1, index=[("_id", 1)])):
        return slot
    raise SlotNotFound


async def read_visit(visit_type_id: PydanticObjectId | None) -> Visit | None:
    """Returns a visit of this active type; None if no type is asked for. Raises `VisitTypeNotFound`."""
    visit_type = await read_visit_type(visit_type_id)
    return None if visit_type is None else Visit.of(visit_type)


async def find_open_at(doctor_id: PydanticObjectId, starts: Sequence[datetime]) -> list[OpenSlot]:
    """Returns what staff can book of the doctor at these moments (UTC), full or not, with the free seats."""
    now = utc_now()
    ahead = [start for start in starts if start > now]
    where = {**bookable_by_staff(now), "doctor_id": doctor_id, "start": {"$in": ahead}}
    return await with_free_seats(await search_repository.find_rows(where, limit=len(starts) or 1))


async def page_of_open(wanted: SlotQuery, page: PageRequest) -> bytes:
    """Returns the first free slots as the JSON of `Page[SlotOut]`. Raises `BadCursor`.

    The page comes from the cache unless the doctor's slots or appointments have changed since; where other doctors'
    slots may come in between, unless any have. It is valid until its first slot begins, or can't be booked any more
    for its minimum notice; for staff until one ends. Equal searches at the same moment share one read: in a book that
    has just filled up it takes seconds.
    """
    ends = "end" if wanted.for_staff else "start"

    async def read() -> Cacheable[bytes]:
        found, next_cursor = await _searches.load((wanted, page), lambda key: find_open(*key))
        return Cacheable(
            SLOT_ROWS.page(({**slot.stored, "free": slot.free} for slot in found), next_cursor),
            depends_on=_ALL_BOOKS if wanted.doctor_id is None else frozenset([wanted.doctor_id]),
            until=min((slot.stored[ends] - wanted.notice for slot in found), default=None),
        )

    return await response_cache.load(("open slots", wanted, page), read)


async def find_open(wanted: SlotQuery, page: PageRequest) -> tuple[list[OpenSlot], str | None]:
    """Returns the first free slots and the cursor of the next page. Those near a moment are one page.

    For a visit it finds where this can start; `free` are then the seats that all its slots have. Raises `BadCursor`.
    """
    position = after(page, *BY_START)
    if wanted.visit is not None and wanted.clinic_id not in (None, wanted.visit.clinic_id):
        return [], None
    if wanted.near is not None:
        return await _find_near(wanted, wanted.near, page.limit), None
    found = await _scan(wanted, position, limit=page.limit + 1)
    return page.cut(found, lambda slot: (slot.stored["start"], slot.stored["_id"]))


async def _find_near(wanted: SlotQuery, moment: datetime, limit: int) -> list[OpenSlot]:
    """Returns the free slots that start the least time before or after a moment, the nearest first."""
    later = await _scan(wanted, {"start": {"$gte": moment}}, limit=limit)
    earlier = await _scan(wanted, {"start": {"$lt": moment}}, limit=limit, descending=True)
    nearest_first = sorted(
        [*earlier, *later], key=lambda slot: (abs(slot.stored["start"] - moment), slot.stored["start"], slot.id)
    )
    return nearest_first[:limit]


async def _scan(
    wanted: SlotQuery, position: dict[str, Any], *, limit: int, descending: bool = False
) -> list[OpenSlot]:
    """Returns the first free slots behind a position: at least `limit` of them, if there are so many.

    It skips full slots in growing batches, and those in which the visit doesn't fit. If one batch wasn't enough, it
    marks both, so that the next search skips them in the index: see `full_hint` and `length_hint`. Not without
    SLOT_HINTS_ENABLED: then every search counts all of them.
    """
    query, found = wanted.query(utc_now()), list[OpenSlot]()
    size = first_size = limit + _SPARE - 1
    while True:
        counted = await _read(wanted, {"$and": [query, position]}, size, descending=descending)
        free = [slot for slot in counted if slot.free]
        starts = free if wanted.visit is None else await _starts(wanted.visit, free, counted)
        found.extend(starts)
        is_enough = len(found) >= limit or len(counted) < size
        if settings.SLOT_HINTS_ENABLED and (size > first_size or not is_enough):
            await full_hint.mark_full([slot.stored for slot in counted if not slot.free])
            fitting = {slot.id for slot in starts}
            await length_hint.mark_short([slot.stored for slot in free if slot.id not in fitting])
        if is_enough:
            return found
        last = counted[-1].stored
        position = behind((last["start"], last["_id"]), "start", "_id", descending=descending)
        size = min(size * 2, _LARGEST_BATCH)


async def _starts(visit: Visit, free: Sequence[OpenSlot], counted: Sequence[OpenSlot]) -> list[OpenSlot]:
    """Returns those of the free slots in which the visit can start.

    It looks at all of the doctors' slots that such a visit may take: behind the last of those `counted`, full ones,
    and ones that are too short to start in. Those marked as full are not counted again.
    """
    if not free:
        return []
    rows = await search_repository.find_open_behind(
        [slot.stored for slot in free],
        reach=visit.whole,
        known_until=max(free[0].stored["start"], free[-1].stored["start"]),
    )
    reached = _reached_over_midnight(free, visit)
    full = [OpenSlot(row, 0) for row in rows if row["known_full"]] if settings.SLOT_HINTS_ENABLED else []
    known = {slot.id for slot in [*full, *counted]}
    to_count = [row for row in rows if reached(row) or row["_id"] not in known]
    open_slots = beside([*full, *counted, *await with_free_seats(to_count)])
    found = []
    for slot in free:
        slots = find_slots(slot.stored, open_slots, visit)
        if not isinstance(slots, NoRun):
            found.append(OpenSlot(slot.stored, min(each.free_for(slot.stored["day"]) for each in slots)))
    return found


def _reached_over_midnight(free: Sequence[OpenSlot], visit: Visit) -> Callable[[Row], bool]:
    """Returns the condition on slots marked as full that a visit of the day before may take all the same.

    They may be full only for their day's limit, and such a visit counts on the day on which it begins.
    """
    latest: dict[PydanticObjectId, dict[str, datetime]] = defaultdict(dict)
    for slot in free:
        starts = latest[slot.stored["doctor_id"]]
        starts[slot.stored["day"]] = max(slot.stored["start"], starts.get(slot.stored["day"], slot.stored["start"]))

    def is_reached(row: Row) -> bool:
        return "max_patients_per_day" in row and any(
            day != row["day"] and start < row["start"] < start + visit.whole
            for day, start in latest[row["doctor_id"]].items()
        )

    return is_reached


async def _read(wanted: SlotQuery, query: dict[str, Any], size: int, *, descending: bool) -> list[OpenSlot]:
    """Returns the first slots that a query finds, or the last, with their free seats."""
    doctor, since, until, index = wanted.doctor_id, wanted.times.since, wanted.times.until, wanted.index()
    is_short = doctor is not None and since is not None and until is not None and until - since <= _FEW_DAYS
    if is_short and doctor and since and until and not descending:
        slots, claims = await search_repository.find_rows_and_seats(
            query, limit=size, index=index, of_doctor=doctor, since=since, until=until
        )
        return await count_free_seats(slots, claims)
    rows = await search_repository.find_rows(query, limit=size, index=index, descending=descending)
    return await with_free_seats(rows)


async def find_alternatives(slot: Slot, visit: Visit | None, *, for_staff: bool) -> list[OpenSlot]:
    """Returns what can be booked in place of a slot: the doctor's nearest, then those of others.

    The others practise the same specialty in the same city. At most three and two, each nearest first. Those
    `for_staff` may lie beyond the patients' horizon.
    """
    near = SlotQuery(visit=visit, near=slot.start, for_staff=for_staff)
    own = replace(near, doctor_id=slot.doctor_id)
    others = replace(near, specialty=slot.specialty, city=slot.city, not_doctor_id=slot.doctor_id)
    found, _ = await find_open(own, PageRequest(limit=3))
    found_elsewhere, _ = await find_open(others, PageRequest(limit=2))
    return [*found, *found_elsewhere]
