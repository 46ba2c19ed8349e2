"""Lists by name are sorted as a phone book is: without regard to case and accents, page after page."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests.directory.support import changed, made, names, new_clinic, pages
from tests.factories import Person, Run, make_doctor, make_user

SORTED = ["Ángel", "Bob", "dart", "de Vries", "Deacon", "Łukasz", "Ødegård", "Odell", "Öz", "zoë", "Zoe 2"]
"""In order. By their bytes, all that begins with a small letter or an accent would come after `Zoe 2`."""

LAST = "Źź"


@pytest.fixture(autouse=True)
def given(run: Run[Any], admin: Person, clinic: Clinic) -> None:
    """Something of each kind by each of the names, not made in their order."""
    for name in [*SORTED[1::2], *SORTED[::-2]]:
        make_user(run, Role.ADMIN, name=name)
        make_doctor(run, clinic, name=name)
        made(admin.client, "/clinics", new_clinic(name=name))
        made(admin.client, "/departments", {"name": name})
        made(admin.client, f"/clinics/{clinic.id}/visit-types", {"names": {"en": name}, "minutes": 20})
        made(admin.client, "/patients", {"name": name})


def assert_sorted(client: httpx.Client, path: str, **params: Any) -> None:
    """On pages of four and on one page, the names are in order. The fixtures' own names have digits."""
    paged = [row["name"] for page in pages(client, path, limit=4, **params) for row in page]
    assert [name for name in paged if name in SORTED] == SORTED
    assert names(client, path, limit=100, **params) == paged


def test_every_list_by_name_is_in_phone_book_order(admin: Person, clinic: Clinic) -> None:
    for path in ("/doctors", "/clinics", "/departments", f"/clinics/{clinic.id}/visit-types", "/patients"):
        assert_sorted(admin.client, path)
    assert_sorted(admin.client, "/users", role="admin")
    assert_sorted(admin.client, f"/clinics/{clinic.id}/doctors")
    assert_sorted(admin.client, "/doctors", specialty="Cardiology")
    assert_sorted(admin.client, "/clinics", city="Boston")


def test_a_new_name_has_its_own_place(admin: Person, clinic: Clinic) -> None:
    types = f"/clinics/{clinic.id}/visit-types"
    lists = ("/doctors", "/clinics", "/departments", "/patients", types)
    for path in lists:
        before = pages(admin.client, path, limit=100)[0]
        (id,) = [row["id"] for row in before if row["name"] == "Bob"]
        body = {"names": {"en": LAST}} if path is types else {"name": LAST}
        changed(admin.client, f"/visit-types/{id}" if path is types else f"{path}/{id}", **body)
        others = [row["name"] for row in before if row["name"] != "Bob"]
        assert names(admin.client, path, limit=100) == [*others, LAST]
