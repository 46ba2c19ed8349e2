"""The wording of every message, in each language. Nothing here is worked out; `templates` fills it in.

What may stand in braces: {when} {doctor} {clinic} {patient} of an appointment; {opens}, the time from which it can be
confirmed; {confirm} and {cancel}, what to reply; {call} and {again}, whole sentences with the clinic's phone.

No text says CANCEL or STOP as a word to send: Twilio takes either for the wish never to hear from us again. None says
why somebody comes: phones lie about.
"""

from enum import StrEnum

from backend.accounts.documents import Language
from backend.appointments.documents import MessageKind, Recipient


class ReplyText(StrEnum):
    """What a reply by SMS is answered with, if not with the list of what is open."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    ALREADY_CONFIRMED = "already_confirmed"
    ALREADY_CANCELLED = "already_cancelled"
    ALREADY_HERE = "already_here"
    NOTHING_OPEN = "nothing_open"
    NO_SUCH_CODE = "no_such_code"
    NOT_UNDERSTOOD = "not_understood"
    TRY_AGAIN = "try_again"
    OPTED_IN = "opted_in"
    UNKNOWN_PHONE = "unknown_phone"


class CodeText(StrEnum):
    """What a one-time code is for."""

    VERIFICATION_CODE = "verification_code"
    PASSWORD_CODE = "password_code"  # noqa: S105 - a name


MESSAGES: dict[Language, dict[tuple[MessageKind, Recipient], str]] = {
    "en": {
        (MessageKind.BOOKED, Recipient.PATIENT): "Your appointment: {when}, {doctor}, {clinic}.",
        (
            MessageKind.RESCHEDULED,
            Recipient.PATIENT,
        ): "Your appointment has moved to {when}, {doctor}, {clinic}.",
        (MessageKind.CANCELLED, Recipient.PATIENT): (
            "Your appointment is cancelled: {when}, {doctor}, {clinic}. {again}"
        ),
        (MessageKind.AUTO_CANCELLED, Recipient.PATIENT): (
            "Cancelled, as it was not confirmed: {when}, {doctor}, {clinic}. {again}"
        ),
        (MessageKind.NO_SHOW, Recipient.PATIENT): "We missed you: {when}, {doctor}, {clinic}. {again}",
        (MessageKind.CONFIRMED, Recipient.DOCTOR): "Confirmed: {patient}, {when}, {clinic}.",
        (MessageKind.CANCELLED_BY_PATIENT, Recipient.DOCTOR): (
            "Cancelled by the patient: {patient}, {when}, {clinic}."
        ),
        (MessageKind.AUTO_CANCELLED, Recipient.DOCTOR): (
            "Cancelled, not confirmed in time: {patient}, {when}, {clinic}."
        ),
        (MessageKind.NO_SHOW, Recipient.DOCTOR): "Did not come: {patient}, {when}, {clinic}.",
    },
    "es": {
        (MessageKind.BOOKED, Recipient.PATIENT): "Su cita: {when}, {doctor}, {clinic}.",
        (
            MessageKind.RESCHEDULED,
            Recipient.PATIENT,
        ): "Su cita se ha cambiado: ahora {when}, {doctor}, {clinic}.",
        (
            MessageKind.CANCELLED,
            Recipient.PATIENT,
        ): "Su cita queda cancelada: {when}, {doctor}, {clinic}. {again}",
        (MessageKind.AUTO_CANCELLED, Recipient.PATIENT): (
            "Cita cancelada por no confirmarse: {when}, {doctor}, {clinic}. {again}"
        ),
        (MessageKind.NO_SHOW, Recipient.PATIENT): "No pudimos verle: {when}, {doctor}, {clinic}. {again}",
        (MessageKind.CONFIRMED, Recipient.DOCTOR): "Confirmada: {patient}, {when}, {clinic}.",
        (MessageKind.CANCELLED_BY_PATIENT, Recipient.DOCTOR): (
            "Cancelada por el paciente: {patient}, {when}, {clinic}."
        ),
        (MessageKind.AUTO_CANCELLED, Recipient.DOCTOR): (
            "Cancelada, no se confirmó a tiempo: {patient}, {when}, {clinic}."
        ),
        (MessageKind.NO_SHOW, Recipient.DOCTOR): "No se presentó: {patient}, {when}, {clinic}.",
    },
}
"""All but the reminder, which comes in two forms."""

LAST_REMINDER: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}. Reply {confirm} to confirm, {cancel} to cancel.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}. Responda {confirm} para confirmar, {cancel} para cancelar.",
}
SILENCE_CANCELS: dict[Language, str] = {
    "en": " Unanswered, it is cancelled.",
    "es": " Sin respuesta, se cancela.",
}
"""Said at the end of the last reminder, where it is so: nobody should lose an appointment without a warning."""
EARLIER_REMINDER: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}. Reply {cancel} to cancel.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}. Responda {cancel} para cancelar.",
}

_UNKNOWN_PHONE = (
    "We can't match this number to an appointment. Please call your clinic. / "
    "No hay citas con este número. Llame a su clínica."
)

ANSWERS: dict[Language, dict[ReplyText, str]] = {
    "en": {
        ReplyText.CONFIRMED: "Thank you, confirmed: {when}, {doctor}, {clinic}.",
        ReplyText.CANCELLED: "Cancelled as you asked: {when}, {doctor}, {clinic}.",
        ReplyText.TOO_EARLY: "Too early to confirm: {when}, {doctor}. Please reply {confirm} from {opens} on.",
        ReplyText.TOO_LATE: "Too late, it has begun: {when}, {doctor}. {call}",
        ReplyText.ALREADY_CONFIRMED: "Already confirmed: {when}, {doctor}, {clinic}. Reply {cancel} to cancel.",
        ReplyText.ALREADY_CANCELLED: "Already cancelled: {when}, {doctor}, {clinic}. {again}",
        ReplyText.ALREADY_HERE: "You are checked in: {when}, {doctor}, {clinic}. Please ask at the front desk.",
        ReplyText.NOTHING_OPEN: "You have no appointment to confirm or cancel. {call}",
        ReplyText.NO_SUCH_CODE: "None of your appointments has that code. {call}",
        ReplyText.NOT_UNDERSTOOD: (
            "Sorry, we did not understand. Reply {confirm} to confirm, {cancel} to cancel. {call}"
        ),
        ReplyText.TRY_AGAIN: "Sorry, that did not work. Please send it again in a few minutes. {call}",
        ReplyText.OPTED_IN: "You will get messages about your appointments again.",
        ReplyText.UNKNOWN_PHONE: _UNKNOWN_PHONE,
    },
    "es": {
        ReplyText.CONFIRMED: "Gracias, confirmada: {when}, {doctor}, {clinic}.",
        ReplyText.CANCELLED: "Cancelada a petición suya: {when}, {doctor}, {clinic}.",
        ReplyText.TOO_EARLY: "Aún no se puede confirmar: {when}, {doctor}. Responda {confirm} desde {opens}.",
        ReplyText.TOO_LATE: "Tarde, ya ha empezado: {when}, {doctor}. {call}",
        ReplyText.ALREADY_CONFIRMED: (
            "Ya está confirmada: {when}, {doctor}, {clinic}. Responda {cancel} para cancelar."
        ),
        ReplyText.ALREADY_CANCELLED: "Ya está cancelada: {when}, {doctor}, {clinic}. {again}",
        ReplyText.ALREADY_HERE: "Ya consta su llegada: {when}, {doctor}, {clinic}. Pregunte en recepción.",
        ReplyText.NOTHING_OPEN: "No tiene citas por confirmar ni cancelar. {call}",
        ReplyText.NO_SUCH_CODE: "Ninguna de sus citas tiene ese código. {call}",
        ReplyText.NOT_UNDERSTOOD: (
            "Perdone, no se entendió. Responda {confirm} para confirmar, {cancel} para cancelar. {call}"
        ),
        ReplyText.TRY_AGAIN: "Perdone, no ha sido posible. Envíelo otra vez en unos minutos. {call}",
        ReplyText.OPTED_IN: "Volverá a recibir mensajes sobre sus citas.",
        ReplyText.UNKNOWN_PHONE: _UNKNOWN_PHONE,
    },
}

SEVERAL_OPEN: dict[Language, str] = {
    "en": "Which one? Reply 1 and its code to confirm, 2 and its code to cancel:",
    "es": "¿Cuál? Responda 1 y su código para confirmar, 2 y su código para cancelar:",
}
"""Above the list."""

CODES: dict[Language, dict[CodeText, str]] = {
    "en": {
        CodeText.VERIFICATION_CODE: "{code} confirms your phone number. Valid for 10 minutes. Tell it to nobody.",
        CodeText.PASSWORD_CODE: (
            "{code} sets a new password. Valid for 10 minutes. Tell it to nobody. Not you? Then do nothing."
        ),
    },
    "es": {
        CodeText.VERIFICATION_CODE: "{code} confirma su número de teléfono. Válido 10 minutos. No lo diga a nadie.",
        CodeText.PASSWORD_CODE: (
            "{code} permite cambiar su contraseña. Válido 10 minutos. No lo diga a nadie. ¿No fue usted? Ignórelo."
        ),
    },
}

CALL: dict[Language, tuple[str, str]] = {
    "en": ("Questions? Call {phone}.", "Questions? Call the clinic."),
    "es": ("¿Dudas? Llame al {phone}.", "¿Dudas? Llame a la clínica."),
}
"""With the clinic's phone, and without."""

AGAIN: dict[Language, tuple[str, str]] = {
    "en": ("To book again, call {phone}.", ""),
    "es": ("Para otra cita, llame al {phone}.", ""),
}
"""With the clinic's phone, and without."""

SAME_DAY: dict[Language, str] = {"en": "{time} that day", "es": "las {time} de ese día"}
OTHER_DAY: dict[Language, str] = {"en": "{time}", "es": "el {time}"}

NAMELESS: dict[Language, dict[str, str]] = {
    "en": {"doctor": "your doctor", "clinic": "the clinic", "patient": "a patient"},
    "es": {"doctor": "su médico", "clinic": "la clínica", "patient": "un paciente"},
}
"""For a name of which nothing can be written, one of emoji only."""
