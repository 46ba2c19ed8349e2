"""A mother and her three children, who have one number: told as one story."""

from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.messaging.inbound.parse_reply import code_of
from tests import factories
from tests.appointments.support import done, refused, visiting
from tests.messaging.office import DAY, HOUR, MINUTE, TWO, Office, new_phone

ASKED = TWO - 3 * HOUR
BORN = {"Tom": "2012-06-05", "Lea": "2020-01-01", "Ben": "2022-01-01"}
"""Tom comes of age on the day after their visits."""


def test_a_mother_with_three_children_on_one_number(office: Office) -> None:
    mother = factories.make_user(office.run, Role.PATIENT, name="Ana Garcia", phone=new_phone())
    nurse = factories.make_nurse(office.run, office.clinic)
    number = mother.user.phone or ""

    # She adds the children and books for each.
    children = {
        name: done(
            mother.client.post(
                "/users/me/patients",
                json={"name": f"{name} Garcia", "date_of_birth": born, "relation": "parent"},
            ),
            201,
        )["id"]
        for name, born in BORN.items()
    }
    visits = {
        name: office.book(mother, TWO + place * 30 * MINUTE, patient_id=children[name])
        for place, name in enumerate(BORN)
    }
    codes = {name: code_of(PydanticObjectId(visit["id"])) for name, visit in visits.items()}

    def statuses() -> dict[str, str]:
        return {name: office.stored(visit)["status"] for name, visit in visits.items()}

    # Three reminders, each with a first name and the code of its visit.
    office.send(ASKED - HOUR)
    told = len(office.network.texts(number))
    for place in range(3):
        office.minute(ASKED + place * 30 * MINUTE)
    reminders = office.network.texts(number)[told:]
    assert [text.split(": ")[:2] for text in reminders] == [[name, "Reminder"] for name in BORN]
    for name, text in zip(BORN, reminders, strict=True):
        assert f"Reply 1 {codes[name]} to confirm, 2 {codes[name]} to cancel" in text
        assert len(text) <= 160

    # A bare answer means the one last asked about; a code means the other.
    at = ASKED + 61 * MINUTE
    assert "Ben: Thank you, confirmed" in office.reply(mother, "1", at)
    assert statuses() == {"Tom": "scheduled", "Lea": "scheduled", "Ben": "confirmed"}
    assert "Lea: Cancelled as you asked" in office.reply(mother, f"2 {codes['Lea']}", at + MINUTE)
    assert statuses() == {"Tom": "scheduled", "Lea": "cancelled", "Ben": "confirmed"}
    by_sms = office.stored(visits["Ben"])["history"][-1]
    assert (by_sms["by_name"], by_sms["by_role"], by_sms.get("by")) == ("Ben Garcia", "patient", None)

    # The number changes hands: she has a new one, and a stranger gets the old one.
    new = new_phone()
    with visiting(office.run, mother, at + 2 * MINUTE) as client:
        done(client.patch("/users/me", json={"phone": new}))
    stranger = factories.make_user(office.run, Role.PATIENT, name="Sam Stranger", phone=number)
    assert "no appointment" in office.reply(stranger, "1", at + 3 * MINUTE)
    assert "None of your appointments" in office.reply(stranger, f"1 {codes['Tom']}", at + 4 * MINUTE)
    assert statuses()["Tom"] == "scheduled"
    sent_to_the_old = len(office.network.texts(number))
    again = office.book(mother, TWO + 2 * DAY, at=at + 5 * MINUTE, patient_id=children["Lea"])
    office.send(at + 6 * MINUTE)
    assert office.network.texts(new)[-1].startswith("Lea: Your appointment")
    assert len(office.network.texts(number)) == sent_to_the_old

    # Tom comes of age: the desk is told to look at it, and nobody is cut off until it has.
    with visiting(office.run, nurse, TWO + DAY) as desk, visiting(office.run, mother, TWO + DAY) as parent:
        tom = children["Tom"]
        listed: list[dict[str, Any]] = done(desk.get("/patients", params={"of_age": True}))["items"]
        assert [row["name"] for row in listed] == ["Tom Garcia"]
        done(parent.get(f"/patients/{tom}"))
        (link,) = desk.get(f"/patients/{tom}/links").json()
        assert desk.delete(f"/patients/{tom}/links/{link['id']}").status_code == 204
        done(desk.patch(f"/patients/{tom}", json={"phone": new_phone()}))
        refused(parent.get(f"/patients/{tom}"), 404, "PATIENT_NOT_FOUND")
        refused(parent.get(f"/appointments/{visits['Tom']['id']}"), 404, "APPOINTMENT_NOT_FOUND")
        assert done(desk.get("/patients", params={"of_age": True}))["items"] == []
        assert done(parent.get(f"/appointments/{again['id']}"))["patient_name"] == "Lea Garcia"
