"""Clinics without opening hours, as in the tests of the directory; and the codes that phones receive."""

from tests.accounts.login.conftest import phones
from tests.directory.conftest import clinic, everybody

__all__ = ["clinic", "everybody", "phones"]
