"""Which country a phone number belongs to that is written without a country code: that of the clinic in question."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated

from beanie import PydanticObjectId
from bson import ObjectId
from fastapi import Depends, Request

from backend.accounts.access import CurrentUser
from backend.accounts.phone_numbers import phone_region
from backend.core.http.fields import Id
from backend.directory.repository import find_clinics

_MOST_CLINICS = 50


async def _use_region_of(clinic_ids: Iterable[PydanticObjectId]) -> None:
    """Puts the country of these clinics in force for the request; the setting's, if they lie in several or none."""
    countries = {clinic.country for clinic in await find_clinics(clinic_ids)}
    phone_region.set(countries.pop() if len(countries) == 1 else None)


async def use_callers_region(caller: CurrentUser) -> None:
    profile = caller.nurse or caller.doctor
    if profile and profile.clinic_ids:
        await _use_region_of(profile.clinic_ids)


async def _use_clinics(clinic_id: Id) -> None:
    await _use_region_of([clinic_id])


async def _use_bodys(request: Request) -> None:
    with suppress(ValueError):  # not JSON: the route refuses it
        body = await request.json()
        given = body.get("clinic_ids") if isinstance(body, dict) else None
        if isinstance(given, list):
            ids = [each for each in given if isinstance(each, str) and ObjectId.is_valid(each)]
            await _use_region_of([PydanticObjectId(each) for each in ids[:_MOST_CLINICS]])


# FastAPI runs dependencies before it reads the body, so the region is in force when the body's numbers are.
CallersPhoneRegion = Annotated[None, Depends(use_callers_region)]
"""A parameter of routes in which staff enter numbers: those of their clinics' country."""

BodysPhoneRegion = Annotated[None, Depends(_use_bodys)]
"""A parameter of routes whose body names the clinics, as `clinic_ids`."""

ClinicsPhoneRegion = Annotated[None, Depends(_use_clinics)]
"""A parameter of routes whose path names a clinic."""
