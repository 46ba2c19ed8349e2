"""Whatever is sent, the answer is not a 500, and no text comes in that can't be stored or shown."""

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from backend.directory.documents import Clinic
from backend.directory.schemas import (
    ClinicPatch,
    DepartmentPatch,
    DoctorPatch,
    NewClinic,
    NewDepartment,
    NewDoctor,
    NewPatient,
    PatientPatch,
)
from tests.directory.support import code, made, new_clinic, new_doctor
from tests.factories import Person

UNSTORABLE = ['"\\ud800"', '"a\\u0000b"', '"x\\udfff y"', '"\\u0007"', '["\\ud800"]', '{"name": "\\u0000"}']
STRANGE = [
    *("NaN", "-Infinity", "1e400", "-0", "1" * 400, "1" * 5000, str(2**64), "0.1", "true", "{}", "[]", '""'),
    *('"9999-12-31T23:59:60Z"', '"' + "é" * 3000 + '"', "[" * 200 + "]" * 200, '{"\\ud800": "\\ud800"}'),
]


def with_raw(body: dict[str, Any], field: str, raw: str) -> str:
    """The body with one field as raw JSON: httpx would refuse to write some of it."""
    rest = json.dumps({name: value for name, value in body.items() if name != field})
    joint = ", " if rest != "{}" else ""
    return f"{rest[:-1]}{joint}{json.dumps(field)}: {raw}}}"


@pytest.mark.parametrize(
    ("route", "model"),
    [
        ("POST /clinics", NewClinic),
        ("PATCH /clinics/{clinic}", ClinicPatch),
        ("POST /departments", NewDepartment),
        ("PATCH /departments/{department}", DepartmentPatch),
        ("POST /doctors", NewDoctor),
        ("PATCH /doctors/{doctor}", DoctorPatch),
        ("POST /patients", NewPatient),
        ("PATCH /patients/{patient}", PatientPatch),
    ],
)
def test_every_field_with_every_nonsense(
    admin: Person, patient: Person, clinic: Clinic, route: str, model: type[BaseModel]
) -> None:
    department = made(admin.client, "/departments", {"name": "Surgery"})["id"]
    doctor = made(admin.client, "/doctors", new_doctor(clinic.id))["id"]
    method, path = route.split()
    path = path.format(clinic=clinic.id, department=department, doctor=doctor, patient=patient.id)
    bodies = {"/clinics": new_clinic(opening_hours=[]), "/doctors": new_doctor(clinic.id)}
    body = bodies.get(path, {"name": "x"}) if method == "POST" else {}

    def send(field: str, raw: str) -> httpx.Response:
        content = with_raw(body, field, raw)
        return admin.client.request(
            method, path, content=content, headers={"Content-Type": "application/json"}
        )

    for field in [*model.model_fields, "unknown", "\ud800"]:
        for raw in UNSTORABLE:
            answer = send(field, raw)
            assert code(answer) == (422, "VALIDATION_ERROR"), (field, raw, answer.text)
        for raw in STRANGE:
            answer = send(field, raw)
            assert answer.status_code in (200, 201, 400, 409, 422), (field, raw[:50], answer.text)
            answer.text.encode("utf-8")


@pytest.mark.parametrize("path", ["/clinics", "/doctors", "/patients", "/departments"])
def test_every_filter_with_every_nonsense(admin: Person, path: str) -> None:
    filters = (
        *("city", "q", "near", "max_distance_m", "is_active", "limit", "cursor"),
        *("specialty", "clinic_id", "department_id", "assigned_doctor_id"),
    )
    for name in filters:
        for value in (
            "%00",
            "%ED%A0%80",
            "%FF",
            "",
            "NaN",
            "1e400",
            "9" * 500,
            "[]",
            "%F0%9F%98%80",
            "a" * 5000,
            "%0A",
        ):
            answer = admin.client.get(f"{path}?{name}={value}")
            assert answer.status_code in (200, 422), (name, value[:50], answer.text)


@pytest.mark.parametrize("path", ["/clinics/", "/departments/", "/doctors/", "/patients/"])
@pytest.mark.parametrize(
    "name", ["%00", "null", "%ED%A0%80", "f" * 23, "f" * 25, "F" * 24, "g" * 24, "-1", "9" * 400]
)
def test_an_id_is_twenty_four_hexadecimal_digits(admin: Person, path: str, name: str) -> None:
    for method in ("GET", "DELETE"):
        assert admin.client.request(method, path + name).status_code == 422


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'"x"', b"NaN", b"{}x", b"[" * 100_000]
)
def test_a_body_that_is_no_object(admin: Person, content: bytes) -> None:
    for path in ("/clinics", "/departments", "/doctors", "/patients"):
        answer = admin.client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
