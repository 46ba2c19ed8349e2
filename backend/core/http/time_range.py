"""Times in requests where a moment or a whole day may be meant, and the `from` and `to` of lists."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import PlainValidator, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from backend.core.http.fields import Day, Instant

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY: TypeAdapter[date] = TypeAdapter(Day)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_WIDEST_OFFSET = timedelta(hours=14)


def _day_or_instant(value: Any) -> date | datetime:
    is_day = isinstance(value, str) and _DATE.fullmatch(value)
    try:
        return (_DAY if is_day else _INSTANT).validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]
        raise PydanticCustomError(fault["type"], fault["msg"]) from None


DayOrInstant = Annotated[
    date | datetime,
    PlainValidator(_day_or_instant),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
"""A moment (an `Instant`), or a whole day in the clinic's zone (a `Day`)."""


def first_moment(of: date | datetime, zone: ZoneInfo) -> datetime:
    """Returns a moment as it is, and the moment at which a day begins in a zone. UTC."""
    if isinstance(of, datetime):
        return of
    return datetime(of.year, of.month, of.day, tzinfo=zone).astimezone(UTC)


def end_moment(of: date | datetime, zone: ZoneInfo) -> datetime:
    """Returns a moment as it is, and the moment at which a day has ended in a zone. UTC."""
    return of if isinstance(of, datetime) else first_moment(of + timedelta(days=1), zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """The `from` and `to` of a list: moments (`to` exclusive), or days in each row's own zone (`to` included)."""

    start: date | datetime | None = None
    end: date | datetime | None = None

    @property
    def since(self) -> datetime | None:
        """The earliest moment that the range can include, whatever the zone. UTC."""
        if self.start is None or isinstance(self.start, datetime):
            return self.start
        return first_moment(self.start, ZoneInfo("UTC")) - _WIDEST_OFFSET

    @property
    def until(self) -> datetime | None:
        """The moment from which on the range includes nothing, whatever the zone. UTC."""
        if self.end is None or isinstance(self.end, datetime):
            return self.end
        return end_moment(self.end, ZoneInfo("UTC")) + _WIDEST_OFFSET

    def query(self, field: str, *, day: Any) -> dict[str, Any]:
        """Returns the filter for rows whose time `field` lies in the range.

        `day` is the MongoDB expression of the row's day in its own zone, for example `"$day"`.
        """
        moments = {"$gte": self.since, "$lt": self.until}
        days = [
            {operator: [day, limit.isoformat()]}
            for operator, limit in (("$gte", self.start), ("$lte", self.end))
            if limit is not None and not isinstance(limit, datetime)
        ]
        return {
            **({field: given} if (given := {k: v for k, v in moments.items() if v is not None}) else {}),
            **({"$expr": {"$and": days}} if days else {}),
        }


ALL_TIMES = TimeRange()

_NOTE = "RFC 3339 with an offset, or a date: a day in the zone of each row's clinic"


Since = Annotated[
    DayOrInstant | None, Query(alias="from", description=f"Only what lies at this time or later. {_NOTE}.")
]
Until = Annotated[
    DayOrInstant | None, Query(alias="to", description=f"Only what lies before this time. {_NOTE}, included.")
]
