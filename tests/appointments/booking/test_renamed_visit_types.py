"""A renamed visit type: its appointments show the new name."""

from functools import partial

from tests.appointments.support import Book, at_once, booked, done
from tests.appointments.visits import visit_type
from tests.factories import Person


def test_a_renamed_type_is_renamed_on_its_appointments(book: Book, patient: Person, admin: Person) -> None:
    """What the patient was told to bring stays as it was told."""
    first, second = book.slots(2)
    kind = visit_type(book, 30, names={"en": "Blood test"}, instructions={"en": "Come fasting."})
    other = visit_type(book, 30, names={"en": "X-ray"})
    ids = [booked(patient, slot, visit_type_id=each)["id"] for slot, each in ((first, kind), (second, other))]
    change = {"names": {"en": "Blood count", "es": "Hemograma"}, "instructions": {"en": "Come as you are."}}

    done(admin.client.patch(f"/visit-types/{kind}", json=change))

    names = [row["visit_type_name"] for row in done(patient.client.get("/appointments"))["items"]]
    assert names == ["Blood count", "X-ray"]
    found = done(patient.client.get(f"/appointments/{ids[0]}"))
    assert (found["visit_type_name"], found["instructions"]) == ("Blood count", {"en": "Come fasting."})
    assert found["version"] == 1


def test_of_two_new_names_at_once_appointments_get_the_later(book: Book, patient: Person, admin: Person) -> None:
    kind = visit_type(book, 30)
    booked(patient, book.slot(), visit_type_id=kind)
    path = f"/visit-types/{kind}"
    for number in range(5):
        names = [f"{name} {number}" for name in ("Blood count", "Blood test")]
        bodies = [{"names": {"en": name}} for name in names]
        for answer in at_once(*[partial(admin.client.patch, path, json=body) for body in bodies]):
            done(answer)
        (row,) = done(patient.client.get("/appointments"))["items"]
        assert row["visit_type_name"] == done(admin.client.get(path))["name"]
