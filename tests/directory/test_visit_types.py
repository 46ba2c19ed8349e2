"""Visit types: kept by administrators, read by everybody, unique by name within their clinic."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests.directory.support import NOWHERE, at_once, changed, code, faults, made, names, new_doctor, read
from tests.factories import Person, Run, make_clinic

FIRST = {"names": {"en": "First visit", "es": "Primera visita"}, "minutes": 40}


def path_of(clinic: Clinic) -> str:
    return f"/clinics/{clinic.clinic_id}/visit-types"


def test_a_visit_type_is_created_and_read_by_everybody(admin: Person, api: httpx.Client, clinic: Clinic) -> None:
    one = made(admin.client, path_of(clinic), {**FIRST, "instructions": {"en": "Come fasting."}})

    assert read(api, f"/visit-types/{one['id']}") == one
    assert names(api, path_of(clinic)) == ["First visit"]
    assert (one["clinic_id"], one["name"], one["minutes"]) == (str(clinic.clinic_id), "First visit", 40)
    assert (one["buffer_minutes"], one["bookable_by"], one["open_bookings_per_patient"]) == (0, "online", None)


def test_its_name_is_that_of_the_clinics_language(admin: Person, run: Run[Any]) -> None:
    clinic = make_clinic(run, language="es")
    one = made(admin.client, path_of(clinic), FIRST)
    assert one["name"] == "Primera visita"
    assert changed(admin.client, f"/visit-types/{one['id']}", names={"en": "First"})["name"] == "First"


@pytest.mark.parametrize("taken", [{"en": "FIRST VISIT"}, {"en": "New", "es": "primera  visita"}])
def test_a_name_is_unique_within_its_clinic(
    admin: Person, clinic: Clinic, run: Run[Any], taken: dict[str, str]
) -> None:
    made(admin.client, path_of(clinic), FIRST)
    other = made(admin.client, path_of(clinic), {"names": {"en": "Other"}, "minutes": 20})

    again = admin.client.post(path_of(clinic), json={"names": taken, "minutes": 20})
    rename = admin.client.patch(f"/visit-types/{other['id']}", json={"names": taken})

    assert code(again) == code(rename) == (409, "VISIT_TYPE_TAKEN")
    made(admin.client, path_of(make_clinic(run)), FIRST)  # another clinic may use it


def test_of_equal_visit_types_at_once_one_is_created(admin: Person, clinic: Clinic) -> None:
    answers = at_once(*[lambda: admin.client.post(path_of(clinic), json=FIRST)] * 4)
    assert sorted(map(code, answers), key=str) == [(201, None), *[(409, "VISIT_TYPE_TAKEN")] * 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("minutes", value) for value in (0, -5, 7, 485, 10_000, None, "40 minutes")),
        *(("buffer_minutes", value) for value in (-5, 3, 125)),
        *(("minimum_notice_minutes", value) for value in (-1, 43_201)),
        *(("cancellation_notice_minutes", value) for value in (-1, 43_201)),
        *(("open_bookings_per_patient", value) for value in (0, -1, 21)),
        *(("names", value) for value in ({}, {"fr": "Visite"}, {"en": " "}, None)),
        *(("bookable_by", value) for value in ("everybody", None)),
        *(("telehealth_url", value) for value in ("video", "ftp://example.com/room")),
    ],
)
def test_bad_fields_are_refused_and_nothing_is_written(
    admin: Person, clinic: Clinic, db: Any, field: str, value: Any
) -> None:
    one = made(admin.client, path_of(clinic), {"names": {"en": "Other"}, "minutes": 20})
    for answer in (
        admin.client.post(path_of(clinic), json={**FIRST, field: value}),
        admin.client.patch(f"/visit-types/{one['id']}", json={field: value}),
    ):
        assert {fault.split(".")[0] for fault in faults(answer)} == {field}
    assert db.visit_types.count_documents({}, hint="_id_") == 1
    assert read(admin.client, f"/visit-types/{one['id']}") == one


def test_only_active_doctors_and_departments_offer_it(admin: Person, clinic: Clinic) -> None:
    doctor = made(admin.client, "/doctors", new_doctor(clinic.id))
    department = made(admin.client, "/departments", {"name": "Surgery"})
    offered = {"doctor_ids": [doctor["id"]] * 2, "department_ids": [department["id"]]}

    one = made(admin.client, path_of(clinic), {**FIRST, **offered})

    assert (one["doctor_ids"], one["department_ids"]) == ([doctor["id"]], [department["id"]])
    for field, refusal in (("doctor_ids", "UNKNOWN_DOCTOR"), ("department_ids", "UNKNOWN_DEPARTMENT")):
        answer = admin.client.patch(f"/visit-types/{one['id']}", json={field: [NOWHERE]})
        assert code(answer) == (422, refusal)


def test_a_deactivated_one_is_there_for_the_staff_only(admin: Person, api: httpx.Client, clinic: Clinic) -> None:
    one = made(admin.client, path_of(clinic), FIRST)
    path = f"/visit-types/{one['id']}"

    assert [admin.client.delete(path).status_code for _ in range(2)] == [204, 204]

    assert code(api.get(path)) == (404, "VISIT_TYPE_NOT_FOUND")
    assert names(api, path_of(clinic)) == names(api, path_of(clinic), is_active=False) == []
    assert names(admin.client, path_of(clinic), is_active=False) == ["First visit"]
    assert code(admin.client.post(path_of(clinic), json=FIRST)) == (409, "VISIT_TYPE_TAKEN")
    assert changed(admin.client, path, is_active=True)["is_active"] is True
    assert read(api, path)["name"] == "First visit"


def test_an_edit_needs_the_present_version(admin: Person, clinic: Clinic) -> None:
    path = f"/visit-types/{made(admin.client, path_of(clinic), FIRST)['id']}"
    first = {"If-Match": admin.client.get(path).headers["ETag"]}

    assert admin.client.patch(path, json={"minutes": 45}, headers=first).headers["ETag"] != first["If-Match"]
    assert code(admin.client.patch(path, json={"minutes": 50}, headers=first)) == (412, "EDIT_CONFLICT")
    assert read(admin.client, path)["minutes"] == 45


def test_the_telehealth_link_is_for_the_staff(admin: Person, patient: Person, clinic: Clinic) -> None:
    link = "https://example.com/room/7"
    one = made(admin.client, path_of(clinic), {**FIRST, "telehealth_url": link})
    assert one["telehealth_url"] == link
    seen = read(patient.client, f"/visit-types/{one['id']}")
    assert (seen["telehealth_url"], seen["is_telehealth"]) == (None, True)
    assert link not in patient.client.get(path_of(clinic)).text


def test_an_unknown_visit_type_or_clinic_is_not_found(admin: Person, api: httpx.Client) -> None:
    path = f"/visit-types/{NOWHERE}"
    answers = [api.get(path), admin.client.patch(path, json={"minutes": 20}), admin.client.delete(path)]
    assert [code(answer) for answer in answers] == [(404, "VISIT_TYPE_NOT_FOUND")] * 3
    nowhere = f"/clinics/{NOWHERE}/visit-types"
    answers = [api.get(nowhere), admin.client.post(nowhere, json=FIRST)]
    assert [code(answer) for answer in answers] == [(404, "CLINIC_NOT_FOUND")] * 2
