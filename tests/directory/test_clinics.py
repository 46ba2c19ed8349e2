"""Making, reading and changing clinics."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests.directory.support import NOWHERE, at_once, changed, code, faults, made, new_clinic, read
from tests.factories import Person

BLOCKS = [
    {"weekday": "monday", "opens": "13:30", "closes": "24:00"},
    {"weekday": "monday", "opens": "08:00", "closes": "12:05"},
    {"weekday": "sunday", "opens": "00:00", "closes": "24:00"},
]


def hours(*blocks: tuple[str, str], weekday: str = "monday") -> list[dict[str, str]]:
    return [{"weekday": weekday, "opens": opens, "closes": closes} for opens, closes in blocks]


def test_a_clinic_is_created_and_read_by_everybody(admin: Person, api: httpx.Client) -> None:
    body = {
        "name": "Midtown Clinic",
        "address": "350 Fifth Avenue",
        "city": "New York",
        "state": "NY",
        "zip_code": "10118",
        "phone": "(212) 555-0100",
        "email": "Midtown@Example.com",
        "time_zone": "America/New_York",
        "language": "es",
        "location": {"longitude": -73.9857, "latitude": 40.7484},
        "opening_hours": BLOCKS,
        "policy": {"slot_minutes": 20, "reminder_minutes": [180, 1440], "auto_cancel_minutes": 0},
    }

    clinic = made(admin.client, "/clinics", body)

    assert read(api, f"/clinics/{clinic['id']}") == clinic
    assert clinic["phone"] == "+12125550100"
    assert clinic["email"] == "midtown@example.com"
    assert clinic["opening_hours"] == [BLOCKS[1], BLOCKS[0], BLOCKS[2]]
    assert clinic["policy"]["slot_minutes"] == 20
    assert clinic["policy"]["horizon_days"] is None
    assert clinic["rules"] == {
        "slot_minutes": 20,
        "horizon_days": 60,
        "staff_horizon_days": 1,
        "confirm_window_minutes": 180,
        "check_in_window_minutes": 60,
        "no_show_grace_minutes": 15,
        "reminder_minutes": [1440, 180],
        "auto_cancel_minutes": 0,
    }
    same = {name: clinic[name] for name in ("name", "address", "city", "state", "zip_code", "language", "location")}
    assert same == {name: body[name] for name in same}
    assert clinic["is_active"] is True
    assert clinic["distance_m"] is None
    assert clinic["created_at"].endswith("Z")


def test_fields_left_out_have_defaults(admin: Person) -> None:
    clinic = made(admin.client, "/clinics", {"name": "A", "city": "B", "time_zone": "Europe/London"})

    assert clinic["language"] == "en"
    assert [h["weekday"] for h in clinic["opening_hours"]] == [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
    ]
    assert {(h["opens"], h["closes"]) for h in clinic["opening_hours"]} == {("09:00", "17:00")}
    assert set(clinic["policy"].values()) == {None}
    assert clinic["location"] is None


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus_Mons",
        "america/new_york",
        "EST5EDT4",
        "+05:00",
        "../etc/passwd",
        "localtime",
        "Factory",
        "",
    ],
)
def test_a_zone_must_be_an_iana_zone(admin: Person, zone: str) -> None:
    answer = admin.client.post("/clinics", json=new_clinic(time_zone=zone))

    assert faults(answer) == ["time_zone"]


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/Argentina/Buenos_Aires"])
def test_every_iana_zone_is_accepted(admin: Person, zone: str) -> None:
    assert made(admin.client, "/clinics", new_clinic(time_zone=zone))["time_zone"] == zone


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("09:01", "17:00"),
        ("09:00", "17:03"),
        ("9:00", "17:00"),
        ("24:00", "24:00"),
        ("23:00", "24:05"),
        ("-1:00", "17:00"),
        ("25:00", "26:00"),
        ("09:60", "17:00"),
        ("09:00:00", "17:00"),
        ("٠٩:٠٠", "17:00"),
        ("", "17:00"),
    ],
)
def test_opening_hours_are_aligned_wall_clock_times(admin: Person, opens: str, closes: str) -> None:
    answer = admin.client.post("/clinics", json=new_clinic(opening_hours=hours((opens, closes))))

    assert all(field.startswith("opening_hours.0") for field in faults(answer))


@pytest.mark.parametrize("value", [540, 9.5, None, True, ["09:00"], {"hour": 9}])
def test_opening_hours_are_text(admin: Person, value: object) -> None:
    block = {"weekday": "monday", "opens": value, "closes": "17:00"}

    assert faults(admin.client.post("/clinics", json=new_clinic(opening_hours=[block]))) == ["opening_hours.0.opens"]


@pytest.mark.parametrize(
    "blocks",
    [
        [("09:00", "12:00"), ("11:55", "17:00")],
        [("09:00", "17:00"), ("10:00", "11:00")],
        [("10:00", "11:00"), ("10:00", "11:00")],
        [("22:00", "03:00"), ("23:00", "23:30")],
        [("08:00", "08:00"), ("07:00", "08:05")],
        [("08:00", "09:00"), ("10:00", "11:00"), ("12:00", "13:00"), ("14:00", "15:00"), ("16:00", "17:00")],
    ],
)
def test_a_weekday_has_at_most_four_separate_blocks(admin: Person, blocks: list[tuple[str, str]]) -> None:
    answer = admin.client.post("/clinics", json=new_clinic(opening_hours=hours(*blocks)))

    assert faults(answer) == ["opening_hours"]


def test_adjacent_blocks_become_one(admin: Person) -> None:
    blocks = hours(("13:00", "17:00"), ("09:00", "12:00"), ("12:00", "13:00"), ("18:00", "24:00"))

    clinic = made(
        admin.client,
        "/clinics",
        new_clinic(opening_hours=[*blocks, *hours(("00:00", "09:00"), weekday="tuesday")]),
    )

    assert clinic["opening_hours"] == [
        *hours(("09:00", "17:00"), ("18:00", "24:00")),
        *hours(("00:00", "09:00"), weekday="tuesday"),
    ]


def test_opening_hours_may_run_over_midnight(admin: Person) -> None:
    night = [*hours(("22:00", "03:00"), ("18:00", "22:00")), *hours(("22:00", "08:00"), weekday="sunday")]

    clinic = made(admin.client, "/clinics", new_clinic(opening_hours=night))

    assert clinic["opening_hours"] == [*hours(("18:00", "03:00")), *hours(("22:00", "08:00"), weekday="sunday")]


def test_a_block_has_at_most_24_hours(admin: Person) -> None:
    """Monday from 0:00 to Tuesday 12:00 can't be one block: `00:00` to `12:00` is half a day."""
    clinic = made(admin.client, "/clinics", new_clinic(opening_hours=hours(("00:00", "12:00"), ("12:00", "12:00"))))

    assert clinic["opening_hours"] == hours(("00:00", "12:00"), ("12:00", "12:00"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("monday", "22:00", "03:00"), ("tuesday", "02:55", "09:00")),
        (("sunday", "22:00", "03:00"), ("monday", "00:00", "09:00")),
        (("sunday", "12:00", "12:00"), ("monday", "11:55", "12:00")),
    ],
)
def test_hours_overlap_around_midnight_and_the_week(
    admin: Person, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    week = [hours(block[1:], weekday=block[0])[0] for block in (second, first)]

    assert faults(admin.client.post("/clinics", json=new_clinic(opening_hours=week))) == ["opening_hours"]
    week[0]["opens"] = first[2]
    week[0]["closes"] = "20:00"
    made(admin.client, "/clinics", new_clinic(opening_hours=week))


def test_a_clinic_may_be_closed_all_week(admin: Person) -> None:
    assert made(admin.client, "/clinics", new_clinic(opening_hours=[]))["opening_hours"] == []


@pytest.mark.parametrize(
    "policy",
    [
        {"slot_minutes": 4},
        {"slot_minutes": 7},
        {"slot_minutes": 0},
        {"slot_minutes": 485},
        {"horizon_days": 0},
        {"horizon_days": 367},
        {"horizon_days": 10**30},
        {"horizon_days": 1.5},
        {"confirm_window_minutes": -1},
        {"check_in_window_minutes": 1441},
        {"no_show_grace_minutes": -5},
        {"auto_cancel_minutes": 2**63},
        {"reminder_minutes": []},
        {"reminder_minutes": [60, 60]},
        {"reminder_minutes": [15, 30, 45, 60, 75, 90]},
        {"reminder_minutes": [14]},
        {"reminder_minutes": 60},
        {"reminder_minutes": [None]},
        {"reminders": [60]},
    ],
)
def test_a_policy_has_bounds(admin: Person, policy: dict[str, object]) -> None:
    answer = admin.client.post("/clinics", json=new_clinic(policy=policy))

    assert all(field.startswith(f"policy.{next(iter(policy))}") for field in faults(answer))


def test_a_policy_accepts_its_bounds(admin: Person) -> None:
    for policy in (
        {"slot_minutes": 5, "horizon_days": 1, "confirm_window_minutes": 0, "reminder_minutes": [10_080]},
        {"slot_minutes": 480, "horizon_days": 366, "no_show_grace_minutes": 1440, "reminder_minutes": [15]},
    ):
        clinic = made(admin.client, "/clinics", new_clinic(policy=policy))
        assert policy.items() <= clinic["policy"].items()


@pytest.mark.parametrize(
    "location",
    [
        {"longitude": 180.0001, "latitude": 0},
        {"longitude": 0, "latitude": -90.0001},
        {"longitude": 0},
        {"longitude": "east", "latitude": 0},
        {"longitude": None, "latitude": 0},
        {"longitude": 10**400, "latitude": 0},
        {"longitude": 0, "latitude": 0, "altitude": 3},
        [0, 0],
        "0,0",
    ],
)
def test_a_location_is_on_earth(admin: Person, location: object) -> None:
    assert code(admin.client.post("/clinics", json=new_clinic(location=location))) == (
        422,
        "VALIDATION_ERROR",
    )


@pytest.mark.parametrize("location", [(180, 90), (-180, -90), (0, 0)])
def test_a_location_accepts_its_bounds(admin: Person, location: tuple[int, int]) -> None:
    place = {"longitude": location[0], "latitude": location[1]}

    assert made(admin.client, "/clinics", new_clinic(location=place))["location"] == place


@pytest.mark.parametrize(
    ("name", "city"),
    [("Harbour Clinic", "Córdoba"), ("HARBOUR  CLINIC", "Cordoba"), ("Härbour clinic", " córdoba ")],
)
def test_a_name_is_unique_in_its_city(admin: Person, name: str, city: str) -> None:
    made(admin.client, "/clinics", new_clinic(name="Harbour Clinic", city="Cordoba"))

    assert code(admin.client.post("/clinics", json=new_clinic(name=name, city=city))) == (409, "CLINIC_TAKEN")
    made(admin.client, "/clinics", new_clinic(name=name, city="Elsewhere"))


def test_of_equal_clinics_created_at_once_one_is_created(admin: Person) -> None:
    bodies = [new_clinic(name=name) for name in ("Same", "same", "SAME", "Sáme", " Same ", "sAME")]

    answers = at_once(*(lambda body=body: admin.client.post("/clinics", json=body) for body in bodies))

    assert sorted(map(code, answers), key=str) == [(201, None), *[(409, "CLINIC_TAKEN")] * 5]


def test_of_clinics_renamed_at_once_to_one_name_one_is_renamed(admin: Person, api: httpx.Client) -> None:
    clinics = [made(admin.client, "/clinics", new_clinic()) for _ in range(4)]

    answers = at_once(
        *(
            lambda clinic=clinic: admin.client.patch(f"/clinics/{clinic['id']}", json={"name": "Same"})
            for clinic in clinics
        )
    )

    assert sorted(map(code, answers), key=str) == [(200, None), *[(409, "CLINIC_TAKEN")] * 3]


def test_fields_left_out_stay_and_null_removes(admin: Person, db: Any) -> None:
    clinic = made(
        admin.client,
        "/clinics",
        new_clinic(
            address="1 Pier",
            phone="+12125550101",
            location={"longitude": 1, "latitude": 2},
            policy={"slot_minutes": 20, "horizon_days": 30},
        ),
    )

    now = changed(admin.client, f"/clinics/{clinic['id']}", phone=None, location=None, policy={"slot_minutes": None})

    assert now["phone"] is now["location"] is now["policy"]["slot_minutes"] is None
    assert now["policy"]["horizon_days"] == 30
    assert now["rules"]["slot_minutes"] == 30
    assert now["address"] == "1 Pier"
    assert now["updated_at"] > clinic["updated_at"]
    stored = db.clinics.find_one({"name": clinic["name"]}, hint="_id_")
    assert not {"phone", "location"} & stored.keys()
    assert stored["policy"] == {"horizon_days": 30}


def test_a_renamed_clinic_is_found_by_its_new_name_only(admin: Person, api: httpx.Client) -> None:
    clinic = made(admin.client, "/clinics", new_clinic(name="Old Mill", city="Boston", address="Quay 7"))

    changed(admin.client, f"/clinics/{clinic['id']}", name="New Forge", city="Salem")

    assert [c["id"] for c in read(api, "/clinics", city="salem", q="forge quay")["items"]] == [clinic["id"]]
    assert read(api, "/clinics", q="mill")["items"] == []
    assert read(api, "/clinics", city="boston")["items"] == []
    made(admin.client, "/clinics", new_clinic(name="Old Mill", city="Boston"))


def test_two_changes_at_once_both_keep_their_words(admin: Person, api: httpx.Client) -> None:
    for n in range(5):
        clinic = made(admin.client, "/clinics", new_clinic(name=f"Before {n}", city="Nowhere"))
        path = f"/clinics/{clinic['id']}"

        answers = at_once(
            lambda path=path, n=n: admin.client.patch(path, json={"name": f"After{n}"}),
            lambda path=path, n=n: admin.client.patch(path, json={"city": f"Somewhere{n}"}),
        )

        assert [a.status_code for a in answers] == [200, 200]
        assert [c["id"] for c in read(api, "/clinics", q=f"after{n} somewhere{n}")["items"]] == [clinic["id"]]
        assert read(api, "/clinics", city=f"somewhere{n}", q=f"after{n}")["items"]


@pytest.mark.parametrize(
    "field",
    ["name", "city", "time_zone", "language", "opening_hours", "policy", "is_active"],
)
def test_required_fields_of_a_clinic_cannot_be_null(admin: Person, clinic: Clinic, field: str) -> None:
    assert faults(admin.client.patch(f"/clinics/{clinic.id}", json={field: None})) == [field]


@pytest.mark.parametrize(
    "body", [{"is_active": False}, {"closures": []}, {"id": NOWHERE}, {"name": ""}, [], "x", None]
)
def test_unknown_fields_are_refused(admin: Person, clinic: Clinic, body: object) -> None:
    assert code(admin.client.patch(f"/clinics/{clinic.id}", json=body)) == (422, "VALIDATION_ERROR")


def test_an_unknown_clinic_is_not_found(admin: Person, api: httpx.Client) -> None:
    assert code(api.get(f"/clinics/{NOWHERE}")) == (404, "CLINIC_NOT_FOUND")
    assert code(api.get(f"/clinics/{NOWHERE}/doctors")) == (404, "CLINIC_NOT_FOUND")
    assert code(admin.client.patch(f"/clinics/{NOWHERE}", json={"name": "x"})) == (404, "CLINIC_NOT_FOUND")
    assert code(admin.client.patch(f"/clinics/{NOWHERE}", json={"phone": None})) == (404, "CLINIC_NOT_FOUND")
    assert code(api.get("/clinics/nonsense")) == (422, "VALIDATION_ERROR")


def test_only_administrators_create_clinics(
    nurse: Person, doctor: Person, patient: Person, api: httpx.Client
) -> None:
    assert code(api.post("/clinics", json=new_clinic())) == (401, "NOT_AUTHENTICATED")
    for person in (nurse, doctor, patient):
        assert code(person.client.post("/clinics", json=new_clinic())) == (403, "NOT_ALLOWED")
