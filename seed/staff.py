"""The demo's people and places, made through the services. What an earlier run made is found, not made again."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any

from beanie import PydanticObjectId
from pydantic import SecretStr

from backend.accounts.documents import Role, User
from backend.accounts.login.passwords import hash_password
from backend.accounts.profiles import WEEK, Gender, NurseProfile, PendingPatient
from backend.accounts.users import create_user
from backend.core.clock import utc_now
from backend.core.mongo.text_search import fold
from backend.directory.clinics import create_clinic
from backend.directory.departments import create_department
from backend.directory.doctors import create_doctor
from backend.directory.documents import Clinic, Department
from backend.directory.schemas import NewClinic, NewDoctor
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.patients.documents import BloodGroup, EmergencyContact
from backend.patients.links.acting import find_own
from backend.patients.records import change, get_patient
from backend.patients.registration import write_own_record
from backend.scheduling.hours.schemas import HoursBlockIn
from backend.scheduling.hours.working_hours import set_hours
from seed import world
from seed.credentials import DemoLogin
from seed.people import ALLERGIES, BLOOD_GROUPS, STREETS, Someone, birthday, fictional_phone, someone
from seed.progress import Progress

DOCTORS = 12
PATIENTS = 100
NURSES = 2
RECORDS = 1 + NURSES + DOCTORS + PATIENTS
"""What `make` counts as progress."""


@dataclass(frozen=True, slots=True)
class Login:
    """A patient's account, and the patient who owns it."""

    account: User
    patient_id: PydanticObjectId


@dataclass(frozen=True, slots=True)
class People:
    """Everybody of the demo."""

    admin: User
    nurses: list[User]
    doctors: list[User]
    patients: list[Login]
    early_confirmers: list[User]
    """Doctors of the clinic whose patients may confirm days ahead."""

    def account_of(self, patient_id: PydanticObjectId) -> User:
        """The account of one of the patients."""
        return next(login.account for login in self.patients if login.patient_id == patient_id)


def demo_logins(password: str) -> list[DemoLogin]:
    """A login of each role. All of the demo's people have the same password."""
    people = {"admin": "admin1", "nurse": "nurse1", "doctor": "doctor1", "patient": "patient1"}
    return [DemoLogin(role, f"{name}@demo.example.com", password) for role, name in people.items()]


async def make(random: Random, *, password: str, progress: Progress) -> People:
    """Makes clinics, departments and people, with the doctors' weekly hours and so their first slots."""
    progress.phase("clinics and staff")
    password_hash = await hash_password(password)  # once: Argon2 is slow by design
    clinics = [await _clinic(dict(given)) for given in world.CLINICS]
    for clinic in clinics:
        await _visit_types(clinic)
    departments = {name: await _department(name, text) for name, text, _ in world.DEPARTMENTS}

    async def user(kind: Role, person: Someone, **profile: Any) -> User:
        made = await _find(person.email) or await create_user(
            User(
                name=person.name,
                role=kind,
                email=person.email,
                phone=person.phone,
                password_hash=password_hash,
                verified_phone=person.phone,
                **profile,
            )
        )
        progress.update()
        return made

    def drawn(kind: Role, number: int, phone: int) -> Someone:
        return someone(random, kind=kind.value, number=number, phone=phone)

    admin = await user(Role.ADMIN, drawn(Role.ADMIN, 1, 100))
    everywhere = NurseProfile(clinic_ids=[clinic.clinic_id for clinic in clinics])
    first_only = NurseProfile(clinic_ids=[clinics[0].clinic_id])
    nurses = [
        await user(Role.NURSE, drawn(Role.NURSE, number, 200 + number), nurse=profile)
        for number, profile in enumerate((everywhere, first_only), start=1)
    ]

    async def doctor(number: int, person: Someone, years: int) -> User:
        clinic = clinics[number % len(clinics)]
        made = await _doctor(
            person,
            number=number,
            years=years,
            clinic=clinic,
            departments=departments,
            password=SecretStr(password),
        )
        progress.update()
        return made

    progress.phase("doctors and their slots")
    # Drawn one after the other and made at the same time: the same number makes the same people.
    doctors_drawn = [
        (number, drawn(Role.DOCTOR, number, 300 + number), random.randint(2, 35)) for number in range(1, DOCTORS + 1)
    ]
    doctors = await asyncio.gather(*(doctor(*given) for given in doctors_drawn))
    progress.phase("patients")

    async def patient(person: Someone, registered: PendingPatient, record: dict[str, Any]) -> Login:
        account = await user(Role.PATIENT, person, pending_patient=registered)
        await write_own_record(account)  # an interrupted run may have left it out
        own = await find_own(account, None)
        if own is None:
            raise RuntimeError(f"{person.email} has no patient record: somebody has withdrawn the link")
        if (await get_patient(own.patient_id)).blood_group is None:
            await change(own.patient_id, record)
        return Login(account, own.patient_id)

    patients_drawn = [
        (drawn(Role.PATIENT, number, 1000 + number), *_record(random, number, doctors))
        for number in range(1, PATIENTS + 1)
    ]
    patients_drawn[0] = _mother(*patients_drawn[0])
    patients = await asyncio.gather(*(patient(*given) for given in patients_drawn))
    early = clinics[1].clinic_id
    return People(
        admin=admin,
        nurses=nurses,
        doctors=doctors,
        patients=patients,
        early_confirmers=[d for d in doctors if d.doctor is not None and early in d.doctor.clinic_ids],
    )


def _mother(
    person: Someone, registered: PendingPatient, record: dict[str, Any]
) -> tuple[Someone, PendingPatient, dict[str, Any]]:
    """The first patient, whose login is printed, has a family: see `seed.scenes`."""
    born = (utc_now() - timedelta(days=41 * 365)).date().isoformat()
    known = registered.model_copy(update={"gender": Gender.FEMALE, "date_of_birth": born})
    return replace(person, name="Marta Castillo"), known, record


async def _find(email: str) -> User | None:
    return await User.find_one({"email": email, "is_active": True})


async def _visit_types(clinic: Clinic) -> None:
    found = {visit_type.name for visit_type in await VisitType.find({"clinic_id": clinic.clinic_id}).to_list()}
    for given in world.VISIT_TYPES:
        if given["names"][clinic.language] not in found:
            await create_visit_type(clinic.clinic_id, NewVisitType.model_validate(given))


async def _clinic(given: dict[str, Any]) -> Clinic:
    found = await Clinic.find_one({"name": given["name"], "city_key": fold(given["city"])})
    if found is not None:
        return found
    opens, closes = given.pop("opens"), given.pop("closes")
    longitude, latitude = given.pop("location")
    week = [{"weekday": day, "opens": opens, "closes": closes} for day in WEEK]
    position = {"longitude": longitude, "latitude": latitude}
    return await create_clinic(NewClinic(**given, location=position, opening_hours=week))


async def _department(name: str, description: str) -> Department:
    found = await Department.find_one({"name_key": fold(name)})
    return found or await create_department(name=name, description=description)


async def _doctor(
    person: Someone,
    *,
    number: int,
    years: int,
    clinic: Clinic,
    departments: dict[str, Department],
    password: SecretStr,
) -> User:
    specialty, department = world.specialties()[number % len(world.specialties())]
    found = await _find(person.email)
    if found is not None and found.doctor is not None and found.doctor.weekly_hours:
        return found
    shape = world.SHAPES[number % len(world.SHAPES)]
    new = NewDoctor(
        name=person.name,
        email=person.email,
        phone=person.phone,
        password=password,
        specialty=specialty,
        license_number=f"DEMO-{number:04}",
        clinic_ids=[clinic.clinic_id],
        department_id=departments[department].department_id,
        qualifications=["MD"],
        experience_years=years,
        max_patients_per_day=shape.max_patients_per_day,
    )
    doctor = found or await create_doctor(new)
    week = [HoursBlockIn.model_validate(block) for block in world.week_of(number, str(clinic.clinic_id))]
    await set_hours(doctor, week)
    return await _find(person.email) or doctor


def _record(random: Random, number: int, doctors: list[User]) -> tuple[PendingPatient, dict[str, Any]]:
    """What a patient registers with, and what is added to the record."""
    contact = someone(random, kind="contact", number=number, phone=number)
    registered = PendingPatient(
        date_of_birth=birthday(random, today=utc_now().date()).isoformat(),
        gender=random.choice(list(Gender)),
        address=f"{random.randint(1, 200)} {random.choice(STREETS)}",
    )
    return registered, {
        "blood_group": BloodGroup(random.choice(BLOOD_GROUPS)),
        "allergies": random.sample(ALLERGIES, k=random.choice((0, 0, 0, 1, 2))),
        "emergency_contact": EmergencyContact(name=contact.name, phone=fictional_phone(5000 + number)).model_dump(
            exclude_none=True
        ),
        "assigned_doctor_id": random.choice(doctors).id if random.random() < 0.5 else None,
    }
