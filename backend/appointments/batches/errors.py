"""Errors of booking several visits together. Those of each visit are in `appointments.errors`."""

from backend.core.http.errors import Conflict


class BatchUnderWay(Conflict):
    """An earlier request with the same key is still booking its visits, or died while it did."""

    code = "BATCH_UNDER_WAY"
    detail = "An earlier request with this `Idempotency-Key` isn't finished. Send it again in a few seconds."


class BatchGivenBack(Conflict):
    """Booking the visits took so long that they were given back meanwhile."""

    code = "BATCH_GIVEN_BACK"
    detail = "Booking these visits took too long, and none of them is booked. Send the request again."
