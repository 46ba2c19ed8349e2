"""Whose book a member of the staff may change. What is out of reach is not found."""

from collections.abc import Iterable

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.directory.documents import Clinic
from backend.directory.errors import ClinicNotFound, DoctorNotFound
from backend.scheduling.documents import SeatClaim


def clinics_of(user: User) -> list[PydanticObjectId]:
    """The clinics a doctor or a nurse works at."""
    profile = user.doctor or user.nurse
    return profile.clinic_ids if profile else []


def only_clinics_of(caller: User) -> list[PydanticObjectId] | None:
    """The clinics that bound what the caller sees and changes of a book; None where nothing does.

    A doctor may work at clinics of several front desks. Each keeps its own part of that book.
    """
    return clinics_of(caller) if caller.role is Role.NURSE else None


def in_sight(caller: User, booked: Iterable[SeatClaim]) -> list[SeatClaim]:
    """Of the appointments that a change has met, those that the caller may see."""
    clinic_ids = only_clinics_of(caller)
    return [holder for holder in booked if clinic_ids is None or holder.clinic_id in clinic_ids]


async def reachable_doctor(caller: User, doctor_id: PydanticObjectId) -> User:
    """A doctor whose book the caller may change: his own, one of the nurse's clinics, any for an administrator.

    Raises `DoctorNotFound`.
    """
    doctor = await User.find_one({"_id": doctor_id, "role": Role.DOCTOR})
    if doctor is None or doctor.doctor is None:
        raise DoctorNotFound
    is_own = caller.role is Role.DOCTOR and caller.user_id == doctor_id
    shares_clinic = caller.role is Role.NURSE and set(clinics_of(caller)) & set(doctor.doctor.clinic_ids)
    if not (caller.role is Role.ADMIN or is_own or shares_clinic):
        raise DoctorNotFound
    return doctor


async def reachable_doctor_at(caller: User, doctor_id: PydanticObjectId, clinic_id: PydanticObjectId) -> User:
    """The same, for the doctor's book at one clinic, which must be the nurse's own."""
    doctor = await reachable_doctor(caller, doctor_id)
    if caller.role is Role.NURSE and clinic_id not in clinics_of(caller):
        raise DoctorNotFound
    return doctor


async def visible_doctor(caller: User, doctor_id: PydanticObjectId) -> User:
    """A doctor whom the caller can know of: an active one, or any for an administrator."""
    doctor = await User.find_one({"_id": doctor_id, "role": Role.DOCTOR})
    if doctor is None or not (doctor.is_active or caller.role is Role.ADMIN):
        raise DoctorNotFound
    return doctor


async def reachable_clinic(caller: User, clinic_id: PydanticObjectId) -> Clinic:
    """A clinic whose book the caller may change. Raises `ClinicNotFound`."""
    clinic = await Clinic.find_one({"_id": clinic_id})
    if clinic is None or not (caller.role is Role.ADMIN or clinic_id in clinics_of(caller)):
        raise ClinicNotFound
    return clinic
