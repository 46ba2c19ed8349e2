"""What becomes of the links of two records that are merged."""

from dataclasses import dataclass, field

from beanie import PydanticObjectId

from backend.accounts import repository as accounts
from backend.patients.documents import PatientLink, Relation
from backend.patients.errors import CircularLink, SelfLinkExists
from backend.patients.links.grants import acts_for_one_of
from backend.patients.merging import repository
from backend.patients.merging.documents import Merge


@dataclass(slots=True)
class LinkPlan:
    """Which links of the other record move, and which links, of either, go because of them."""

    moving: list[PatientLink] = field(default_factory=list)
    redundant: list[PatientLink] = field(default_factory=list)
    has_two_owners: bool = False


async def plan_links(survivor_id: PydanticObjectId, other_id: PydanticObjectId) -> LinkPlan:
    """Returns what becomes of the links. An account that acts for both keeps one link: `self`, or the survivor's.

    A patient has one account of their own. If both have one, that of an inactive account goes; two active ones stay
    where they are.
    """
    found = await repository.find_links(survivor_id, other_id)
    kept = {link.user_id: link for link in found if link.patient_id == survivor_id}
    coming = [link for link in found if link.patient_id == other_id]
    plan = LinkPlan()
    ours, theirs = (
        next((link for link in links if link.relation is Relation.SELF), None) for links in (kept.values(), coming)
    )
    if ours and theirs:
        ours_is_active = await accounts.exists({"_id": ours.user_id, "is_active": True})
        theirs_is_active = await accounts.exists({"_id": theirs.user_id, "is_active": True})
        if ours_is_active and theirs_is_active:
            plan.has_two_owners = True
            coming.remove(theirs)
        elif theirs_is_active:
            plan.redundant.append(kept.pop(ours.user_id))
        else:
            plan.redundant.append(theirs)
            coming.remove(theirs)
    for link in coming:
        same = kept.get(link.user_id)
        if same is None or link.relation is Relation.SELF:
            plan.moving.append(link)
            plan.redundant += [same] if same else []
        else:
            plan.redundant.append(link)
    return plan


async def check_links(survivor_id: PydanticObjectId, other_id: PydanticObjectId) -> LinkPlan:
    """Returns what becomes of the links. Raises `SelfLinkExists` and `CircularLink` if they forbid the merge."""
    plan = await plan_links(survivor_id, other_id)
    if plan.has_two_owners:
        raise SelfLinkExists
    if await acts_for_one_of({survivor_id, other_id}):
        raise CircularLink
    return plan


async def move_links(merge: Merge) -> LinkPlan:
    """Moves the links of the other record to the survivor. Safe to repeat."""
    plan = await plan_links(merge.survivor_id, merge.other_id)
    await repository.remove_links(merge, plan.redundant)
    for link in plan.moving:
        await repository.move_link(link, to=merge.survivor_id)
    return plan


async def move_links_back(merge: Merge) -> int:
    """Moves back the links that a merge had moved, and restores those that it had deleted. Returns how many moved."""
    moved = 0
    for link in await repository.find_links(merge.survivor_id):
        if merge.other_id in (link.merged_from or ()):
            moved += await repository.move_link_back(link, to=merge.other_id)
    await repository.restore_links(merge)
    return moved
