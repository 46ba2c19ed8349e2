"""The texts of all messages, in each language. `templates` fills them in.

Fields: {when} {doctor} {clinic} {patient} of an appointment, and {first}, the first name of its patient; {opens},
when it can first be confirmed; {confirm} and {cancel}, what to reply; {call} and {again}, whole sentences with the
clinic's phone.

No text suggests CANCEL or STOP as a reply: to Twilio both mean that the patient opts out. None says why the patient
comes: others may see the phone.
"""

from enum import StrEnum

from backend.accounts.documents import Language, Purpose
from backend.appointments.documents import MessageKind, Recipient


class AnswerText(StrEnum):
    """The texts that answer a reply, except the list of appointments to choose from."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    NOTICE_OVER = "notice_over"
    ALREADY_CONFIRMED = "already_confirmed"
    ALREADY_CANCELLED = "already_cancelled"
    ALREADY_HERE = "already_here"
    NOTHING_OPEN = "nothing_open"
    NO_SUCH_CODE = "no_such_code"
    NOT_UNDERSTOOD = "not_understood"
    GIVEN_TO_STAFF = "given_to_staff"
    TRY_AGAIN = "try_again"
    OPTED_IN = "opted_in"
    UNKNOWN_PHONE = "unknown_phone"


MESSAGES: dict[Language, dict[Recipient, dict[MessageKind, str]]] = {
    "en": {
        Recipient.PATIENT: {
            MessageKind.BOOKED: "Your appointment: {when}, {doctor}, {clinic}.",
            MessageKind.RESCHEDULED: "Your appointment has moved to {when}, {doctor}, {clinic}.",
            MessageKind.CANCELLED: "Your appointment is cancelled: {when}, {doctor}, {clinic}. {again}",
            MessageKind.AUTO_CANCELLED: ("Cancelled, as it was not confirmed: {when}, {doctor}, {clinic}. {again}"),
            MessageKind.NO_SHOW: "We missed you: {when}, {doctor}, {clinic}. {again}",
        },
        Recipient.DOCTOR: {
            MessageKind.CONFIRMED: "Confirmed: {patient}, {when}, {clinic}.",
            MessageKind.CANCELLED_BY_PATIENT: "Cancelled by the patient: {patient}, {when}, {clinic}.",
            MessageKind.AUTO_CANCELLED: "Cancelled, not confirmed in time: {patient}, {when}, {clinic}.",
            MessageKind.NO_SHOW: "Did not come: {patient}, {when}, {clinic}.",
        },
    },
    "es": {
        Recipient.PATIENT: {
            MessageKind.BOOKED: "Su cita: {when}, {doctor}, {clinic}.",
            MessageKind.RESCHEDULED: "Su cita se ha cambiado: ahora {when}, {doctor}, {clinic}.",
            MessageKind.CANCELLED: "Su cita queda cancelada: {when}, {doctor}, {clinic}. {again}",
            MessageKind.AUTO_CANCELLED: ("Cita cancelada por no confirmarse: {when}, {doctor}, {clinic}. {again}"),
            MessageKind.NO_SHOW: "No pudimos verle: {when}, {doctor}, {clinic}. {again}",
        },
        Recipient.DOCTOR: {
            MessageKind.CONFIRMED: "Confirmada: {patient}, {when}, {clinic}.",
            MessageKind.CANCELLED_BY_PATIENT: "Cancelada por el paciente: {patient}, {when}, {clinic}.",
            MessageKind.AUTO_CANCELLED: "Cancelada, no se confirmó a tiempo: {patient}, {when}, {clinic}.",
            MessageKind.NO_SHOW: "No se presentó: {patient}, {when}, {clinic}.",
        },
    },
}
"""All messages but the reminder, which has two texts."""

LAST_REMINDER: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}. Reply {confirm} to confirm, {cancel} to cancel.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}. Responda {confirm} para confirmar, {cancel} para cancelar.",
}
SILENCE_CANCELS: dict[Language, str] = {
    "en": " Unanswered, it is cancelled.",
    "es": " Sin respuesta, se cancela.",
}
"""Added to the last reminder if it is so: nobody should lose an appointment without a warning."""
EARLIER_REMINDER: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}. Reply {cancel} to cancel.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}. Responda {cancel} para cancelar.",
}

LAST_REMINDER_PAST_NOTICE: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}. Reply {confirm} to confirm.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}. Responda {confirm} para confirmar.",
}
EARLIER_REMINDER_PAST_NOTICE: dict[Language, str] = {
    "en": "Reminder: {when}, {doctor}, {clinic}.",
    "es": "Recordatorio: {when}, {doctor}, {clinic}.",
}
"""Once the visit type's notice for cancelling is over. They end with the clinic's phone instead."""

_UNKNOWN_PHONE = (
    "We can't match this number to an appointment. Please call your clinic. / "
    "No hay citas con este número. Llame a su clínica."
)

ANSWERS: dict[Language, dict[AnswerText, str]] = {
    "en": {
        AnswerText.CONFIRMED: "Thank you, confirmed: {when}, {doctor}, {clinic}.",
        AnswerText.CANCELLED: "Cancelled as you asked: {when}, {doctor}, {clinic}.",
        AnswerText.TOO_EARLY: "Too early to confirm: {when}, {doctor}. Please reply {confirm} from {opens} on.",
        AnswerText.TOO_LATE: "Too late, it has begun: {when}, {doctor}. {call}",
        AnswerText.NOTICE_OVER: "Too late to cancel by SMS: {when}, {doctor}. The clinic will call you. {call}",
        AnswerText.ALREADY_CONFIRMED: "Already confirmed: {when}, {doctor}, {clinic}. Reply {cancel} to cancel.",
        AnswerText.ALREADY_CANCELLED: "Already cancelled: {when}, {doctor}, {clinic}. {again}",
        AnswerText.ALREADY_HERE: "You are checked in: {when}, {doctor}, {clinic}. Please ask at the front desk.",
        AnswerText.NOTHING_OPEN: "You have no appointment to confirm or cancel. {call}",
        AnswerText.NO_SUCH_CODE: "None of your appointments has that code. {call}",
        AnswerText.NOT_UNDERSTOOD: (
            "Sorry, we did not understand. Reply {confirm} to confirm, {cancel} to cancel. {call}"
        ),
        AnswerText.GIVEN_TO_STAFF: "Thank you. The clinic will read your message and call you. {call}",
        AnswerText.TRY_AGAIN: "Sorry, that did not work. Please send it again in a few minutes. {call}",
        AnswerText.OPTED_IN: "You will get messages about your appointments again.",
        AnswerText.UNKNOWN_PHONE: _UNKNOWN_PHONE,
    },
    "es": {
        AnswerText.CONFIRMED: "Gracias, confirmada: {when}, {doctor}, {clinic}.",
        AnswerText.CANCELLED: "Cancelada a petición suya: {when}, {doctor}, {clinic}.",
        AnswerText.TOO_EARLY: "Aún no se puede confirmar: {when}, {doctor}. Responda {confirm} desde {opens}.",
        AnswerText.TOO_LATE: "Tarde, ya ha empezado: {when}, {doctor}. {call}",
        AnswerText.NOTICE_OVER: "Ya no se puede cancelar por SMS: {when}, {doctor}. La clínica le llamará. {call}",
        AnswerText.ALREADY_CONFIRMED: (
            "Ya está confirmada: {when}, {doctor}, {clinic}. Responda {cancel} para cancelar."
        ),
        AnswerText.ALREADY_CANCELLED: "Ya está cancelada: {when}, {doctor}, {clinic}. {again}",
        AnswerText.ALREADY_HERE: "Ya consta su llegada: {when}, {doctor}, {clinic}. Pregunte en recepción.",
        AnswerText.NOTHING_OPEN: "No tiene citas por confirmar ni cancelar. {call}",
        AnswerText.NO_SUCH_CODE: "Ninguna de sus citas tiene ese código. {call}",
        AnswerText.NOT_UNDERSTOOD: (
            "Perdone, no se entendió. Responda {confirm} para confirmar, {cancel} para cancelar. {call}"
        ),
        AnswerText.GIVEN_TO_STAFF: "Gracias. La clínica leerá su mensaje y le llamará. {call}",
        AnswerText.TRY_AGAIN: "Perdone, no ha sido posible. Envíelo otra vez en unos minutos. {call}",
        AnswerText.OPTED_IN: "Volverá a recibir mensajes sobre sus citas.",
        AnswerText.UNKNOWN_PHONE: _UNKNOWN_PHONE,
    },
}

ANSWERS_PAST_NOTICE: dict[Language, dict[AnswerText, str]] = {
    "en": {
        AnswerText.ALREADY_CONFIRMED: "Already confirmed: {when}, {doctor}, {clinic}. {call}",
        AnswerText.NOT_UNDERSTOOD: "Sorry, we did not understand. Reply {confirm} to confirm. {call}",
    },
    "es": {
        AnswerText.ALREADY_CONFIRMED: "Ya está confirmada: {when}, {doctor}, {clinic}. {call}",
        AnswerText.NOT_UNDERSTOOD: "Perdone, no se entendió. Responda {confirm} para confirmar. {call}",
    },
}
"""The answers that would offer to cancel, once the visit type's notice for it is over."""

CHOICES: dict[Language, str] = {
    "en": "Which one? Reply 1 and its code to confirm, 2 and its code to cancel:",
    "es": "¿Cuál? Responda 1 y su código para confirmar, 2 y su código para cancelar:",
}
"""The line above the list of appointments."""

CODES: dict[Language, dict[Purpose, str]] = {
    "en": {
        Purpose.JOIN_RECORD: "{code} finds your record at the clinic. Valid for 10 minutes. Tell it to nobody.",
        Purpose.VERIFY_PHONE: "{code} confirms your phone number. Valid for 10 minutes. Tell it to nobody.",
        Purpose.RESET_PASSWORD: (
            "{code} sets a new password. Valid for 10 minutes. Tell it to nobody. Not you? Then do nothing."
        ),
    },
    "es": {
        Purpose.JOIN_RECORD: "{code} encuentra su ficha en la clínica. Válido 10 minutos. No lo diga a nadie.",
        Purpose.VERIFY_PHONE: "{code} confirma su número de teléfono. Válido 10 minutos. No lo diga a nadie.",
        Purpose.RESET_PASSWORD: (
            "{code} permite cambiar su contraseña. Válido 10 minutos. No lo diga a nadie. ¿No fue usted? Ignórelo."
        ),
    },
}

CALL: dict[Language, tuple[str, str]] = {
    "en": ("Questions? Call {phone}.", "Questions? Call the clinic."),
    "es": ("¿Dudas? Llame al {phone}.", "¿Dudas? Llame a la clínica."),
}
"""With the clinic's phone, and without it."""

AGAIN: dict[Language, tuple[str, str]] = {
    "en": ("To book again, call {phone}.", ""),
    "es": ("Para otra cita, llame al {phone}.", ""),
}
"""With the clinic's phone, and without it."""

SAME_DAY: dict[Language, str] = {"en": "{time} that day", "es": "las {time} de ese día"}
OTHER_DAY: dict[Language, str] = {"en": "{time}", "es": "el {time}"}

NAMELESS: dict[Language, dict[str, str]] = {
    "en": {"doctor": "your doctor", "clinic": "the clinic", "patient": "a patient", "first": "Patient"},
    "es": {"doctor": "su médico", "clinic": "la clínica", "patient": "un paciente", "first": "Paciente"},
}
"""For a name that has no letters, such as one of emoji only."""
