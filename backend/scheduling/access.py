"""Which doctors' and clinics' schedules a caller may see and change. Those outside their access return 404."""

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.directory import doctors
from backend.directory.clinics import get_clinic
from backend.directory.documents import Clinic
from backend.directory.errors import ClinicNotFound, DoctorNotFound


def clinics_of(user: User) -> list[PydanticObjectId]:
    """Returns the clinics at which a doctor or a nurse works."""
    profile = user.doctor or user.nurse
    return profile.clinic_ids if profile else []


def clinic_scope(caller: User) -> list[PydanticObjectId] | None:
    """Returns the clinics to which the caller's access to schedules is limited; None if it isn't limited.

    A doctor may work at clinics of several front desks. Each manages the schedule at its own clinics.
    """
    return clinics_of(caller) if caller.role is Role.NURSE else None


async def reachable_doctor(caller: User, doctor_id: PydanticObjectId, *, at: PydanticObjectId | None = None) -> User:
    """Returns a doctor whose schedule the caller may change, with `at` that at one clinic. Raises `DoctorNotFound`.

    Doctors may change their own, nurses those of doctors at their clinics, administrators all.
    """
    doctor = await doctors.get_doctor(doctor_id)
    own = clinics_of(caller)
    is_own = caller.role is Role.DOCTOR and caller.user_id == doctor_id
    shares_clinic = caller.role is Role.NURSE and set(own) & set(clinics_of(doctor)) and at in (None, *own)
    if not (caller.role is Role.ADMIN or is_own or shares_clinic):
        raise DoctorNotFound
    return doctor


async def visible_doctor(caller: User, doctor_id: PydanticObjectId) -> User:
    """Returns an active doctor; administrators get inactive ones too. Raises `DoctorNotFound`."""
    where = {} if caller.role is Role.ADMIN else {"is_active": True}
    return await doctors.get_doctor(doctor_id, where=where)


async def reachable_clinic(caller: User, clinic_id: PydanticObjectId) -> Clinic:
    """Returns a clinic whose schedule the caller may change. Raises `ClinicNotFound`."""
    clinic = await get_clinic(clinic_id)
    if not (caller.role is Role.ADMIN or clinic_id in clinics_of(caller)):
        raise ClinicNotFound
    return clinic
