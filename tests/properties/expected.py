"""What the search must offer, worked out anew from what is stored: slowly, and without the application's code."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.properties.small_world import Kind, Row, World

NOT_SEEN = ("cancelled", "no_show", "left")


def free_seats(world: World) -> dict[Any, int]:
    """The free seats of each open slot, by id: capacity less those who have one; none on a day that is full."""
    rows, limits = world.appointments(), world.limits()
    taken = Counter(held["slot"] for row in rows if row["active"] for held in row["seats"])
    seen = Counter((row["doctor_id"], row["clinic_day"]) for row in rows if row["status"] not in NOT_SEEN)
    free = {}
    for slot in world.slots():
        if slot["is_active"] and slot["state"] == "open":
            limit = limits[slot["doctor_id"]]
            is_full_day = limit is not None and seen[slot["doctor_id"], slot["day"]] >= limit
            free[slot["_id"]] = 0 if is_full_day else max(0, slot["capacity"] - taken[slot["_id"]])
    return free


def offers(world: World, kind: Kind | None = None, *, staff: bool = False) -> dict[str, int]:
    """What the public or the staff must be offered: the free seats by the slot's id, of a visit all its slots'."""
    free = free_seats(world)
    slots = {slot["_id"]: slot for slot in world.slots() if slot["_id"] in free}
    places = {(slot["doctor_id"], slot["clinic_id"], slot["start"]): slot for slot in slots.values()}
    found = {}
    for slot in slots.values():
        if kind is not None and slot["clinic_id"] != kind.clinic_id:
            continue
        notice = timedelta(minutes=0 if kind is None else kind.minimum_notice_minutes)
        is_in_time = slot["end"] > world.now if staff else slot["is_online"] and slot["start"] > world.now + notice
        seats = min((free[each] for each in _run(slot, places, free, kind)), default=0)
        if is_in_time and seats:
            found[str(slot["_id"])] = seats
    return found


def _run(slot: Row, places: Mapping[Any, Row], free: Mapping[Any, int], kind: Kind | None) -> list[Any]:
    """The slots that a visit takes which starts in a slot; none if it doesn't fit."""
    if kind is None:
        return [slot["_id"]]
    needed = slot["start"] + timedelta(minutes=kind.minutes)
    wanted = needed + timedelta(minutes=kind.buffer_minutes)
    run, end = [], slot["start"]
    while end < wanted:
        following = places.get((slot["doctor_id"], slot["clinic_id"], end))
        if following is None:
            return run if end >= needed else []
        if not free[following["_id"]]:
            return []
        run.append(following["_id"])
        end = following["end"]
    return run
