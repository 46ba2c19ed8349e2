"""Doctors with the names of their clinics and departments, and as much of them as the viewer may see."""

from collections.abc import Sequence

from backend.accounts.documents import User
from backend.directory.clinics import read_clinics
from backend.directory.departments import read_departments
from backend.directory.doctors import profile_of
from backend.directory.listing import is_staff
from backend.directory.responses_people import DoctorDetail, DoctorOut


async def show_doctors(found: Sequence[User], viewer: User | None) -> list[DoctorDetail | DoctorOut]:
    """Doctors as the viewer may see them: outsiders without contact, licence and what is out of use."""
    clinics = await read_clinics(each for doctor in found for each in profile_of(doctor).clinic_ids)
    departments = await read_departments(
        department_id for doctor in found if (department_id := profile_of(doctor).department_id)
    )
    if is_staff(viewer):
        return [DoctorDetail.of(doctor, clinics, departments) for doctor in found]
    clinics = {key: clinic for key, clinic in clinics.items() if clinic.is_active}
    departments = {key: department for key, department in departments.items() if department.is_active}
    return [DoctorOut.of(doctor, clinics, departments) for doctor in found]


async def show_in_detail(doctor: User) -> DoctorDetail:
    """One doctor as the staff see one."""
    profile = profile_of(doctor)
    clinics = await read_clinics(profile.clinic_ids)
    departments = await read_departments([profile.department_id] if profile.department_id else [])
    return DoctorDetail.of(doctor, clinics, departments)
