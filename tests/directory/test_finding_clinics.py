"""Searching for clinics: by city, by words, by distance, page by page."""

import math
from typing import Any

import httpx
import pytest

from tests.directory.support import code, faults, made, names, new_clinic, pages, read
from tests.factories import Person

NEW_YORK, NEWARK, BOSTON, LONDON = (
    (-74.0060, 40.7128),
    (-74.1724, 40.7357),
    (-71.0589, 42.3601),
    (-0.1276, 51.5072),
)


def place(position: tuple[float, float]) -> dict[str, float]:
    return {"longitude": position[0], "latitude": position[1]}


def haversine_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The distance on a sphere of MongoDB's radius, 6,378.1 km."""
    lon1, lat1, lon2, lat2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6_378_100 * math.asin(math.sqrt(h))


@pytest.fixture
def clinics(admin: Person) -> list[dict[str, Any]]:
    """Four clinics with a location, one without, one deactivated."""
    bodies = [
        new_clinic(name="Boston Common", city="Boston", location=place(BOSTON)),
        new_clinic(name="Hudson", city="New York", address="9 Élysée Way", location=place(NEW_YORK)),
        new_clinic(name="Ironbound", city="Newark", state="NJ", zip_code="07105", location=place(NEWARK)),
        new_clinic(name="Thames-side", city="London", time_zone="Europe/London", location=place(LONDON)),
        new_clinic(name="Nomads", city="Newark"),
        new_clinic(name="Closed down", city="Newark", location=place(NEWARK)),
    ]
    found = [made(admin.client, "/clinics", body) for body in bodies]
    assert admin.client.delete(f"/clinics/{found[-1]['id']}").status_code == 200
    return found


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["Boston Common", "Hudson", "Ironbound", "Nomads", "Thames-side"]),
        ({"city": "newark"}, ["Ironbound", "Nomads"]),
        ({"city": "  NÉWARK "}, ["Ironbound", "Nomads"]),
        ({"city": "new"}, []),
        ({"q": "new"}, ["Hudson", "Ironbound", "Nomads"]),
        ({"q": "elysee hud"}, ["Hudson"]),
        ({"q": "side"}, ["Thames-side"]),
        ({"q": "07105"}, ["Ironbound"]),
        ({"q": "hudson newark"}, []),
        ({"q": "ronbound"}, []),
        ({"q": "..."}, []),
        ({"q": ".*"}, []),
        ({"q": "^"}, []),
        ({"q": "new", "city": "Newark"}, ["Ironbound", "Nomads"]),
    ],
)
def test_clinics_are_found_by_city_and_by_words(
    clinics: list[dict[str, Any]], api: httpx.Client, filters: dict[str, str], expected: list[str]
) -> None:
    assert names(api, "/clinics", **filters) == expected


def test_the_nearest_clinics_come_first_with_their_distance(clinics: list[dict[str, Any]], api: httpx.Client) -> None:
    found = read(api, "/clinics", near=f"{NEW_YORK[0]},{NEW_YORK[1]}")["items"]

    assert [c["name"] for c in found] == ["Hudson", "Ironbound", "Boston Common", "Thames-side"]
    assert found[0]["distance_m"] == 0
    for clinic, where in zip(found, (NEW_YORK, NEWARK, BOSTON, LONDON), strict=True):
        assert clinic["distance_m"] == pytest.approx(haversine_m(NEW_YORK, where), rel=1e-4, abs=1)


def test_the_distance_can_be_limited(clinics: list[dict[str, Any]], api: httpx.Client) -> None:
    near = f"{NEW_YORK[0]}, {NEW_YORK[1]}"
    to_newark = haversine_m(NEW_YORK, NEWARK)

    assert names(api, "/clinics", near=near, max_distance_m=math.ceil(to_newark) + 5) == [
        "Hudson",
        "Ironbound",
    ]
    assert names(api, "/clinics", near=near, max_distance_m=math.floor(to_newark) - 5) == ["Hudson"]
    assert names(api, "/clinics", near=near, max_distance_m=1) == ["Hudson"]
    assert names(api, "/clinics", near=near, q="new", max_distance_m=20_100_000) == ["Hudson", "Ironbound"]
    assert names(api, "/clinics", near=near, city="Boston") == ["Boston Common"]
    assert names(api, "/clinics", near=near, q="...") == []


@pytest.mark.parametrize("near", ["180,90", "-180,-90", "0,0", "-0,-0", "179.99999999999999999,89.999999999"])
def test_near_may_be_anywhere_on_earth(clinics: list[dict[str, Any]], api: httpx.Client, near: str) -> None:
    assert len(read(api, "/clinics", near=near)["items"]) == 4


@pytest.mark.parametrize(
    "near",
    [
        "nan,0",
        "NaN,NaN",
        "0,inf",
        "-Infinity,0",
        "181,0",
        "0,91",
        "-180.0001,0",
        "999,99",
        "0",
        "0,0,0",
        ",",
        "1e2,0",
        "0x10,0",
        "1_0,0",
        "٤٥,٤٥",
        "here",
        "40.7,-74.0,",
        "0;0",
        "\x00,0",
        "",
    ],
)
def test_near_is_a_longitude_and_a_latitude(api: httpx.Client, near: str) -> None:
    assert faults(api.get("/clinics", params={"near": near})) == ["near"]


@pytest.mark.parametrize("distance", ["0", "-1", "nan", "1e3", "20100001", str(2**63), str(10**4000), "x"])
def test_a_distance_has_bounds(api: httpx.Client, distance: str) -> None:
    answer = api.get("/clinics", params={"near": "0,0", "max_distance_m": distance})

    assert faults(answer) == ["max_distance_m"]


def test_a_distance_without_a_point_is_refused(api: httpx.Client) -> None:
    assert code(api.get("/clinics", params={"max_distance_m": 100})) == (422, "NEAR_REQUIRED")


def test_pages_by_distance_contain_each_clinic_once(admin: Person, api: httpx.Client) -> None:
    made_ids = [made(admin.client, "/clinics", new_clinic(location=place(BOSTON)))["id"] for _ in range(5)]
    made_ids += [made(admin.client, "/clinics", new_clinic(location=place(LONDON)))["id"] for _ in range(2)]

    found = pages(api, "/clinics", near="-71.0589,42.3601", limit=2)

    assert [len(page) for page in found] == [2, 2, 2, 1]
    assert [clinic["id"] for page in found for clinic in page] == made_ids


def test_a_cursor_of_another_order_is_refused(clinics: list[dict[str, Any]], api: httpx.Client) -> None:
    by_name = read(api, "/clinics", limit=1)["next_cursor"]
    by_distance = read(api, "/clinics", limit=1, near="0,0")["next_cursor"]

    assert code(api.get("/clinics", params={"near": "0,0", "cursor": by_name})) == (422, "BAD_CURSOR")
    assert code(api.get("/clinics", params={"cursor": by_distance})) == (422, "BAD_CURSOR")


def test_pages_by_name_are_stable_while_clinics_are_added(admin: Person, api: httpx.Client) -> None:
    for letter in "bdfhj":
        made(admin.client, "/clinics", new_clinic(name=f"{letter} clinic"))
    first = read(api, "/clinics", limit=2)
    for letter in "acegik":
        made(admin.client, "/clinics", new_clinic(name=f"{letter} clinic"))

    seen = [c["name"][0] for c in first["items"]]
    cursor = first["next_cursor"]
    while cursor:
        page = read(api, "/clinics", limit=2, cursor=cursor)
        seen += [c["name"][0] for c in page["items"]]
        cursor = page["next_cursor"]

    assert seen == list("bd") + list("efghijk")


def test_clinics_of_one_name_are_all_listed(admin: Person, api: httpx.Client) -> None:
    ids = [made(admin.client, "/clinics", new_clinic(name="Twin", city=f"City {n}"))["id"] for n in range(5)]

    found = pages(api, "/clinics", limit=2)

    assert [clinic["id"] for page in found for clinic in page] == ids


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "",
        "e30",
        "WyJhIiwgMV0",
        "AAAA",
        "é",
        "WyJcdWQ4MDAiLCB7IiRvaWQiOiI2NzFmMGMwZTliMWQ4YTAwMDFhMWIyYzMifV0",
    ],
)
def test_a_cursor_of_no_list_is_refused(api: httpx.Client, cursor: str) -> None:
    for path in ("/clinics", "/clinics?near=0,0", "/departments", "/doctors"):
        assert code(api.get(path, params={**httpx.URL(path).params, "cursor": cursor})) == (422, "BAD_CURSOR")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", str(2**70)])
def test_a_page_has_bounds(api: httpx.Client, limit: str) -> None:
    for path in ("/clinics", "/departments", "/doctors"):
        assert faults(api.get(path, params={"limit": limit})) == ["limit"]
