"""What the tests of codes by SMS share."""

import time
from datetime import timedelta

NEW_PASSWORD = "staple in the stable"
VERIFICATION = "/users/me/phone/verification"
MINUTES = timedelta(minutes=1)


class Phones:
    """The codes that all phones have received, in their order."""

    def __init__(self):
        self.received = []

    async def receive(self, issued):
        self.received.append(issued)

    def __len__(self):
        return len(self.received)

    def wait_for(self, number):
        """Returns the newest code once so many have arrived: codes for a reset are sent after the response."""
        deadline = time.monotonic() + 10
        while len(self.received) < number:
            assert time.monotonic() < deadline, f"{len(self.received)} codes of {number} have come"
            time.sleep(0.005)
        assert len(self.received) == number
        return self.received[-1].code


def confirm(person, code):
    return person.client.post(f"{VERIFICATION}/confirm", json={"code": code})


def other_than(code):
    return f"{(int(code) + 1) % 10**6:06}"


def is_refused(answer):
    return (answer.status_code, answer.json()["error_code"]) == (422, "CODE_INVALID")
