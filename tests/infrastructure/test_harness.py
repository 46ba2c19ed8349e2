import httpx
import pytest

from tests.factories import Person


def test_everybody_of_the_fixtures_is_logged_in(
    admin: Person, nurse: Person, doctor: Person, patient: Person
) -> None:
    for person in (admin, nurse, doctor, patient):
        answer = person.client.get("/users/me")
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == person.account_id


@pytest.mark.long
def test_two_servers_share_the_users(two_servers: tuple[str, str], patient: Person) -> None:
    for url in two_servers:
        answer = httpx.get(f"{url}/api/v1/users/me", headers={"Authorization": f"Bearer {patient.token}"})
        assert answer.json()["id"] == patient.account_id
