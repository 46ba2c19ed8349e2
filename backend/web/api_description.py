"""What the OpenAPI document says of the API as a whole: its title, its introduction and its tags."""

TITLE = "Clinic appointment book"

SUMMARY = "Slots, bookings, reminders and records of a clinic."

DESCRIPTION = """
The back end of a clinic's appointment book. Patients book, confirm, reschedule and cancel. Doctors and the front desk
run the day. Administrators manage clinics, doctors and accounts.

**Logging in.** `POST /api/v1/auth/login` takes an e-mail address (or phone number) and a password. It returns an
access token that lives for minutes and a refresh token that lives for days. Send the access token as
`Authorization: Bearer …`. When a request returns `401`, exchange the refresh token for a new pair at
`POST /api/v1/auth/refresh` and repeat the request. A refresh token works once. Using it again ends that login.

**Roles.** Each operation lists the roles it admits, for programs as `x-roles`. Resources outside your access return
`404`. `403` means that your role can't do this at all, or not with this resource; the code says which.

**Errors** all have one shape: `detail` is a sentence for developers, `error_code` is a stable code for programs. Each
operation lists the codes it can return with each status. Some codes carry more: `SLOT_TAKEN` has `alternatives`,
`VALIDATION_ERROR` has `errors`, each with its location (`loc`). Two codes belong to no operation: an unknown path
returns `404 NOT_FOUND`, and an unknown method returns `405 METHOD_NOT_ALLOWED`. A fault on our side returns
`500 INTERNAL_ERROR`. Every response has an `X-Request-ID` header: quote it when you report a problem.

**Ids.** A `doctor_id` is the `id` of the doctor's account. A `patient_id` is the `id` of a patient's record, not of
an account.

**Lists** come in pages of `limit` rows. Pass `next_cursor` as `cursor` to get the next page; it is null on the last
one. A cursor stays valid while rows are added. It works only for the same list with the same filters.

**Repeating a request.** Send an `Idempotency-Key` of your own with `POST /api/v1/appointments`. If the response gets
lost, send the same request with the same key again: you get the first response, with `Idempotent-Replayed: true`.
After `429` or `503`, wait as many seconds as `Retry-After` says.

**Times** are RFC 3339: send any offset, receive UTC (`2027-03-14T13:30:00Z`). A clinic's wall-clock times, such as
opening hours, are `HH:MM` in the clinic's `time_zone`.

**Changes** are `PATCH`: fields that you leave out keep their value; null clears a field that may be empty.
""".strip()

TAGS = {
    "auth": "Register, log in and out, renew tokens, reset a forgotten password.",
    "me": "The caller's own account.",
    "users": "Accounts of every role, for administrators.",
    "clinics": "Clinics with their opening hours, closures and policies.",
    "departments": "Medical departments.",
    "visit types": "What can be booked at a clinic: how long it takes, and by which rules.",
    "doctors": "Doctors and their profiles.",
    "patients": "Patients and their records.",
    "schedule": "A doctor's working hours and leaves.",
    "slots": "Times that can be booked.",
    "appointments": "Book an appointment, and everything that happens to it afterwards.",
    "messages": "Sent and received SMS, and the list of patients to call.",
    "twilio": "Webhooks for replies and delivery reports. Twilio signs them; they need no login.",
    "reports": "Statistics for doctors and administrators.",
    "operations": "Health checks for monitoring, and the server's time for clients.",
}
