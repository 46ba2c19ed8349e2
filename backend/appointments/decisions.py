"""Which appointments take place as things stand. `transitions.keep` decides that one does."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from beanie import PydanticObjectId

from backend.directory.documents import Clinic
from backend.scheduling.decisions.documents import DecisionCause
from backend.scheduling.unavailability import Visit, called_off


class Decided(Visit, Protocol):
    """A visit, and what was decided about it."""

    needs_decision: list[DecisionCause] | None
    kept_despite: list[DecisionCause] | None


async def not_taking_place(visits: Sequence[Decided], clinics: Mapping[PydanticObjectId, Clinic]) -> list[bool]:
    """Returns for each visit whether the clinic has withdrawn its time and nobody has decided to keep it.

    The marks say so; while a withdrawal isn't marked yet, the leave or the closure itself does.
    """
    off = await called_off(visits, clinics)
    return [
        bool(visit.needs_decision) or (is_off and not visit.kept_despite)
        for visit, is_off in zip(visits, off, strict=True)
    ]
