"""What patients and doctors read: every text, in each language, for ordinary names and for the strangest."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.accounts.documents import Language, Purpose
from backend.appointments.documents import MessageKind, Recipient
from backend.messaging.content.gsm import segments, septets
from backend.messaging.content.templates import (
    MAX_LISTED,
    AppointmentDetails,
    render_answer,
    render_choices,
    render_code,
    render_message,
)
from backend.messaging.content.texts import MESSAGES, AnswerText

LANGUAGES: tuple[Language, ...] = ("en", "es")
PATIENT, DOCTOR = Recipient.PATIENT, Recipient.DOCTOR

TO_PATIENT = {
    MessageKind.BOOKED,
    MessageKind.REMINDER,
    MessageKind.RESCHEDULED,
    MessageKind.CANCELLED,
    MessageKind.AUTO_CANCELLED,
    MessageKind.NO_SHOW,
}
TO_DOCTOR = {
    MessageKind.CONFIRMED,
    MessageKind.CANCELLED_BY_PATIENT,
    MessageKind.AUTO_CANCELLED,
    MessageKind.NO_SHOW,
}
OWED = [*product(TO_PATIENT, [PATIENT]), *product(TO_DOCTOR, [DOCTOR])]

WITHOUT_APPOINTMENT = {
    AnswerText.NOTHING_OPEN,
    AnswerText.NO_SUCH_CODE,
    AnswerText.NOT_UNDERSTOOD,
    AnswerText.GIVEN_TO_STAFF,
    AnswerText.TRY_AGAIN,
    AnswerText.OPTED_IN,
    AnswerText.UNKNOWN_PHONE,
}

VISIT = AppointmentDetails(
    doctor_name="Dr. Elizabeth Blackwell",
    clinic_name="Harbor Street Clinic",
    start=datetime(2026, 3, 10, 18, 5, tzinfo=UTC),
    time_zone="America/New_York",
    clinic_phone="+15550100001",
    patient_name="Maria Garcia Lopez",
    opens=datetime(2026, 3, 10, 15, 5, tzinfo=UTC),
)
LONGEST_WHEN = replace(
    VISIT,
    start=datetime(2026, 9, 23, 16, 35, tzinfo=UTC),
    opens=datetime(2026, 9, 22, 16, 35, tzinfo=UTC),
    time_zone="Australia/Lord_Howe",
    names_zone=True,
    code="K7M",
    requests_confirmation=True,
)
SANTIAGO = replace(LONGEST_WHEN, time_zone="America/Santiago")


@pytest.mark.parametrize(
    ("kind", "to", "english", "spanish"),
    [
        (
            MessageKind.BOOKED,
            PATIENT,
            "Your appointment: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic.",
            "Su cita: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic.",
        ),
        (
            MessageKind.REMINDER,
            PATIENT,
            "Reminder: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. Reply 2 to cancel.",
            "Recordatorio: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Responda 2 para cancelar.",
        ),
        (
            MessageKind.RESCHEDULED,
            PATIENT,
            "Your appointment has moved to Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic.",
            "Su cita se ha cambiado: ahora mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, "
            "Harbor Street Clinic.",
        ),
        (
            MessageKind.CANCELLED,
            PATIENT,
            "Your appointment is cancelled: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "To book again, call +15550100001.",
            "Su cita queda cancelada: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Para otra cita, llame al +15550100001.",
        ),
        (
            MessageKind.AUTO_CANCELLED,
            PATIENT,
            "Cancelled, as it was not confirmed: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, "
            "Harbor Street Clinic. To book again, call +15550100001.",
            "Cita cancelada por no confirmarse: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, "
            "Harbor Street Clinic. Para otra cita, llame al +15550100001.",
        ),
        (
            MessageKind.NO_SHOW,
            PATIENT,
            "We missed you: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "To book again, call +15550100001.",
            "No pudimos verle: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Para otra cita, llame al +15550100001.",
        ),
        (
            MessageKind.CONFIRMED,
            DOCTOR,
            "Confirmed: Maria L., Tue, Mar 10, 2:05 PM, Harbor Street Clinic.",
            "Confirmada: Maria L., mar 10 de marzo, 2:05 p.m., Harbor Street Clinic.",
        ),
        (
            MessageKind.CANCELLED_BY_PATIENT,
            DOCTOR,
            "Cancelled by the patient: Maria L., Tue, Mar 10, 2:05 PM, Harbor Street Clinic.",
            "Cancelada por el paciente: Maria L., mar 10 de marzo, 2:05 p.m., Harbor Street Clinic.",
        ),
        (
            MessageKind.AUTO_CANCELLED,
            DOCTOR,
            "Cancelled, not confirmed in time: Maria L., Tue, Mar 10, 2:05 PM, Harbor Street Clinic.",
            "Cancelada, no se confirmo a tiempo: Maria L., mar 10 de marzo, 2:05 p.m., Harbor Street Clinic.",
        ),
        (
            MessageKind.NO_SHOW,
            DOCTOR,
            "Did not come: Maria L., Tue, Mar 10, 2:05 PM, Harbor Street Clinic.",
            "No se presento: Maria L., mar 10 de marzo, 2:05 p.m., Harbor Street Clinic.",
        ),
    ],
)
def test_a_message_says_what_when_with_whom_and_where(
    kind: MessageKind, to: Recipient, english: str, spanish: str
) -> None:
    assert render_message(kind, to, "en", VISIT) == english
    assert render_message(kind, to, "es", VISIT) == spanish


def test_only_the_last_reminder_asks_to_confirm() -> None:
    asking = replace(VISIT, requests_confirmation=True)
    assert render_message(MessageKind.REMINDER, PATIENT, "en", asking) == (
        "Reminder: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
        "Reply 1 to confirm, 2 to cancel."
    )
    assert render_message(MessageKind.REMINDER, PATIENT, "es", asking) == (
        "Recordatorio: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
        "Responda 1 para confirmar, 2 para cancelar."
    )


def test_the_last_reminder_says_that_silence_cancels_where_it_does() -> None:
    warning = replace(VISIT, requests_confirmation=True, silence_cancels=True)
    assert render_message(MessageKind.REMINDER, PATIENT, "en", warning).endswith(
        "Reply 1 to confirm, 2 to cancel. Unanswered, it is cancelled."
    )
    assert render_message(MessageKind.REMINDER, PATIENT, "es", warning).endswith(
        "Responda 1 para confirmar, 2 para cancelar. Sin respuesta, se cancela."
    )
    earlier = replace(warning, requests_confirmation=False)
    assert render_message(MessageKind.REMINDER, PATIENT, "en", earlier).endswith("Reply 2 to cancel.")


@pytest.mark.parametrize("silence_cancels", [False, True])
def test_nobody_is_offered_to_cancel_once_the_notice_is_over(silence_cancels: bool) -> None:
    last = replace(VISIT, requests_confirmation=True, can_cancel=False, silence_cancels=silence_cancels)
    warnings = (" Unanswered, it is cancelled.", " Sin respuesta, se cancela.") if silence_cancels else ("", "")
    english, spanish = (render_message(MessageKind.REMINDER, PATIENT, language, last) for language in LANGUAGES)
    assert english.startswith("Reminder: Tue, Mar 10, 2:05 PM, Dr. Elizabeth")
    assert f" Reply 1 to confirm.{warnings[0]} Questions? Call " in english
    assert f" Responda 1 para confirmar.{warnings[1]} ¿Dudas? Llame al " in spanish
    earlier = replace(last, requests_confirmation=False)
    for details in (last, earlier):
        for language in LANGUAGES:
            texts = [render_message(MessageKind.REMINDER, PATIENT, language, details)]
            texts += [render_answer(what, language, details) for what in AnswerText]
            assert not [text for text in texts if "2 to cancel" in text or "2 para cancelar" in text]


def test_who_has_several_appointments_is_told_the_code() -> None:
    asking = replace(VISIT, requests_confirmation=True, code="K7M")
    assert render_message(MessageKind.REMINDER, PATIENT, "en", asking).endswith(
        "Reply 1 K7M to confirm, 2 K7M to cancel."
    )
    assert render_message(MessageKind.REMINDER, PATIENT, "es", replace(asking, requests_confirmation=False)).endswith(
        "Responda 2 K7M para cancelar."
    )


@pytest.mark.parametrize(
    ("what", "english", "spanish"),
    [
        (
            AnswerText.CONFIRMED,
            "Thank you, confirmed: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic.",
            "Gracias, confirmada: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic.",
        ),
        (
            AnswerText.CANCELLED,
            "Cancelled as you asked: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic.",
            "Cancelada a peticion suya: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic.",
        ),
        (
            AnswerText.TOO_EARLY,
            "Too early to confirm: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell. "
            "Please reply 1 from 11:05 AM that day on.",
            "Aun no se puede confirmar: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell. "
            "Responda 1 desde las 11:05 a.m. de ese dia.",
        ),
        (
            AnswerText.TOO_LATE,
            "Too late, it has begun: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell. Questions? Call +15550100001.",
            "Tarde, ya ha empezado: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell. "
            "¿Dudas? Llame al +15550100001.",
        ),
        (
            AnswerText.ALREADY_CONFIRMED,
            "Already confirmed: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Reply 2 to cancel.",
            "Ya esta confirmada: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Responda 2 para cancelar.",
        ),
        (
            AnswerText.ALREADY_CANCELLED,
            "Already cancelled: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "To book again, call +15550100001.",
            "Ya esta cancelada: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Para otra cita, llame al +15550100001.",
        ),
        (
            AnswerText.ALREADY_HERE,
            "You are checked in: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Please ask at the front desk.",
            "Ya consta su llegada: mar 10 de marzo, 2:05 p.m., Dr. Elizabeth Blackwell, Harbor Street Clinic. "
            "Pregunte en recepcion.",
        ),
    ],
)
def test_an_answer_tells_what_became_of_the_appointment(what: AnswerText, english: str, spanish: str) -> None:
    assert render_answer(what, "en", VISIT) == english
    assert render_answer(what, "es", VISIT) == spanish


@pytest.mark.parametrize(
    ("what", "english", "spanish"),
    [
        (
            AnswerText.NOTHING_OPEN,
            "You have no appointment to confirm or cancel. Questions? Call the clinic.",
            "No tiene citas por confirmar ni cancelar. ¿Dudas? Llame a la clinica.",
        ),
        (
            AnswerText.NO_SUCH_CODE,
            "None of your appointments has that code. Questions? Call the clinic.",
            "Ninguna de sus citas tiene ese codigo. ¿Dudas? Llame a la clinica.",
        ),
        (
            AnswerText.NOT_UNDERSTOOD,
            "Sorry, we did not understand. Reply 1 to confirm, 2 to cancel. Questions? Call the clinic.",
            "Perdone, no se entendio. Responda 1 para confirmar, 2 para cancelar. ¿Dudas? Llame a la clinica.",
        ),
        (
            AnswerText.GIVEN_TO_STAFF,
            "Thank you. The clinic will read your message and call you. Questions? Call the clinic.",
            "Gracias. La clinica leera su mensaje y le llamara. ¿Dudas? Llame a la clinica.",
        ),
        (
            AnswerText.TRY_AGAIN,
            "Sorry, that did not work. Please send it again in a few minutes. Questions? Call the clinic.",
            "Perdone, no ha sido posible. Envielo otra vez en unos minutos. ¿Dudas? Llame a la clinica.",
        ),
        (
            AnswerText.OPTED_IN,
            "You will get messages about your appointments again.",
            "Volvera a recibir mensajes sobre sus citas.",
        ),
    ],
)
def test_an_answer_without_an_appointment_says_whom_to_call(what: AnswerText, english: str, spanish: str) -> None:
    assert render_answer(what, "en") == english
    assert render_answer(what, "es") == spanish
    assert render_answer(what, "en", phone="+15550100001") == english.replace("the clinic.", "+15550100001.")


def test_an_unknown_phone_gets_one_neutral_answer_in_both_languages() -> None:
    text = (
        "We can't match this number to an appointment. Please call your clinic. / "
        "No hay citas con este numero. Llame a su clinica."
    )
    assert {render_answer(AnswerText.UNKNOWN_PHONE, language) for language in LANGUAGES} == {text}


@pytest.mark.parametrize(
    ("what", "english", "spanish"),
    [
        (
            Purpose.VERIFY_PHONE,
            "012345 confirms your phone number. Valid for 10 minutes. Tell it to nobody.",
            "012345 confirma su numero de teléfono. Valido 10 minutos. No lo diga a nadie.",
        ),
        (
            Purpose.RESET_PASSWORD,
            "012345 sets a new password. Valid for 10 minutes. Tell it to nobody. Not you? Then do nothing.",
            "012345 permite cambiar su contraseña. Valido 10 minutos. No lo diga a nadie. ¿No fue usted? Ignorelo.",
        ),
    ],
)
def test_a_one_time_code_stands_first(what: Purpose, english: str, spanish: str) -> None:
    assert render_code(what, "en", "012345") == english
    assert render_code(what, "es", "012345") == spanish


def test_several_open_appointments_are_listed_by_their_codes() -> None:
    later = replace(VISIT, start=datetime(2026, 3, 12, 13, 0, tzinfo=UTC), code="3RD", doctor_name="Dr. Li")
    assert render_choices("en", [replace(VISIT, code="K7M"), later]) == (
        "Which one? Reply 1 and its code to confirm, 2 and its code to cancel:\n"
        "K7M: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell\n"
        "3RD: Thu, Mar 12, 9:00 AM, Dr. Li"
    )
    assert render_choices("es", [later]) == (
        "¿Cual? Responda 1 y su codigo para confirmar, 2 y su codigo para cancelar:\n"
        "3RD: jue 12 de marzo, 9:00 a.m., Dr. Li"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_list_stays_within_four_segments(language: Language) -> None:
    visit = replace(SANTIAGO, doctor_name="Dr. " + "Wolfeschlegelstein" * 6)
    text = render_choices(language, [visit] * (MAX_LISTED + 1))
    assert len(text.splitlines()) == 1 + MAX_LISTED
    assert septets(text) is not None
    assert segments(text) <= 4


@pytest.mark.parametrize(
    ("time_zone", "names_zone", "language", "when"),
    [
        ("America/New_York", False, "en", "Tue, Mar 10, 2:05 PM"),
        ("America/New_York", True, "en", "Tue, Mar 10, 2:05 PM EDT"),
        ("America/New_York", True, "es", "mar 10 de marzo, 2:05 p.m. EDT"),
        ("US/Eastern", False, "en", "Tue, Mar 10, 2:05 PM"),
        ("America/Phoenix", True, "en", "Tue, Mar 10, 11:05 AM MST"),
        ("America/Toronto", False, "en", "Tue, Mar 10, 2:05 p.m."),
        ("America/Mexico_City", False, "es", "mar 10 de marzo, 12:05 p.m."),
        ("America/Argentina/Buenos_Aires", True, "es", "mar 10 de marzo, 3:05 p. m. GMT-03:00"),
        ("Europe/London", True, "en", "Tue 10 Mar, 18:05 GMT"),
        ("Europe/Madrid", False, "es", "mar 10 de marzo, 19:05"),
        ("Europe/Madrid", True, "en", "Tue, 10 Mar, 19:05 CET"),
        ("Asia/Kolkata", True, "en", "Tue, 10 Mar, 11:35 pm IST"),
        ("Australia/Lord_Howe", True, "en", "Wed, 11 Mar, 5:05 am GMT+11:00"),
        ("Australia/Lord_Howe", True, "es", "mié 11 de marzo, 5:05 GMT+11:00"),
        ("Asia/Tokyo", False, "en", "Wed, 11 Mar, 3:05 am"),
        ("UTC", True, "en", "Tue, Mar 10, 6:05 PM UTC"),
    ],
)
def test_times_are_the_clinics_and_written_as_people_there_do(
    time_zone: str, names_zone: bool, language: Language, when: str
) -> None:
    visit = replace(VISIT, time_zone=time_zone, names_zone=names_zone)
    text = render_message(MessageKind.BOOKED, PATIENT, language, visit)
    assert text.split(": ", 1)[1].startswith(f"{when}, Dr. ")


def test_every_zone_there_is_has_times_in_words() -> None:
    for time_zone, language in product(sorted(available_timezones()), LANGUAGES):
        visit = replace(SANTIAGO, time_zone=time_zone)
        text = render_message(MessageKind.AUTO_CANCELLED, PATIENT, language, visit)
        assert segments(text) == 1, text
        assert "Dr. Eliza" in text, text


def test_the_hour_that_comes_twice_is_told_apart_by_the_zone() -> None:
    visit = replace(VISIT, names_zone=True)
    first = replace(visit, start=datetime(2026, 11, 1, 5, 30, tzinfo=UTC))
    second = replace(visit, start=datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
    assert "Sun, Nov 1, 1:30 AM EDT" in render_message(MessageKind.BOOKED, PATIENT, "en", first)
    assert "Sun, Nov 1, 1:30 AM EST" in render_message(MessageKind.BOOKED, PATIENT, "en", second)


def test_a_confirmation_that_opens_the_day_before_names_the_day() -> None:
    visit = replace(VISIT, opens=datetime(2026, 3, 9, 14, 0, tzinfo=UTC))
    assert render_answer(AnswerText.TOO_EARLY, "en", visit).endswith("Please reply 1 from Mon, Mar 9, 10:00 AM on.")
    assert render_answer(AnswerText.TOO_EARLY, "es", visit).endswith("Responda 1 desde el lun 9 de marzo, 10:00 a.m.")


NAMES = [
    ("Dr. Elizabeth Blackwell", "Harbor Street Clinic"),
    ("Dra. María de los Ángeles Gutiérrez Peña", "Clínica Nuestra Señora de la Asunción"),
    ("Dr. " + "Wolfeschlegelsteinhausenbergerdorff " * 3, "The " + "Very " * 20 + "Long Clinic"),
    ("W" * 120, "M" * 120),
    ("€" * 120, "{" * 120),
    ("Δρ. Σοφία Παπαδοπούλου", "Κλινική Αθηνών"),
    ("Д-р Юлия Щербакова", "Клиника на Невском проспекте"),
    ("د. محمد عبد الرحمن", "عيادة الشارع الكبير"),
    ("王小明医生", "北京协和医院" * 20),
    ("Dr. 👍🏽 Ana", "🏥"),
    ("👍", "\u200d\ufe0f"),
    ("Dr. O’Brien\nJr.\x00", "“St. John’s” – Clinic\t№5"),
    ("\ud800", "\ufffd"),
    ("...", "{doctor} {0} %s {"),
    ("", ""),
]
VISITS = [VISIT, LONGEST_WHEN, SANTIAGO, replace(VISIT, clinic_phone=None, requests_confirmation=True)]


def every_text(language: Language, details: AppointmentDetails) -> list[str]:
    """All that may be sent about an appointment, and at all; without the list of several."""
    return [
        *(render_message(kind, to, language, details) for kind, to in OWED),
        *(render_answer(what, language, details) for what in AnswerText),
        *(render_answer(what, language, phone=details.clinic_phone) for what in WITHOUT_APPOINTMENT),
        *(render_code(what, language, "012345") for what in Purpose),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("visit", VISITS, ids=["ordinary", "lord-howe", "santiago", "no-phone"])
@pytest.mark.parametrize(("doctor", "clinic"), NAMES, ids=range(len(NAMES)))
def test_every_message_is_one_segment_whatever_the_names(
    doctor: str, clinic: str, visit: AppointmentDetails, language: Language
) -> None:
    details = replace(visit, doctor_name=doctor, clinic_name=clinic, patient_name=doctor)
    warning = replace(details, requests_confirmation=True, silence_cancels=True)
    late = replace(warning, can_cancel=False)
    for text in [*every_text(language, details), *every_text(language, warning), *every_text(language, late)]:
        assert septets(text) is not None, text
        assert segments(text) == 1, text
        assert text.isprintable(), text
        assert text.endswith("."), text
        assert not re.search(r"\.\.|  | [.,]|, ,|: ,", text), text


@given(doctor=st.text(max_size=120), clinic=st.text(max_size=120), language=st.sampled_from(LANGUAGES))
@settings(max_examples=60, deadline=None)
def test_no_name_breaks_a_message(doctor: str, clinic: str, language: Language) -> None:
    for visit in (VISIT, SANTIAGO):
        details = replace(visit, doctor_name=doctor, clinic_name=clinic, patient_name=clinic)
        for text in every_text(language, details):
            assert segments(text) == 1
            assert septets(text) is not None
        assert septets(render_choices(language, [details] * 3)) is not None


def test_ordinary_names_are_never_shortened() -> None:
    for language in LANGUAGES:
        for text in every_text(language, replace(VISIT, requests_confirmation=True, silence_cancels=True)):
            assert "Blackwell" in text or "Dr." not in text
            assert "Harbor Street Clinic" in text or "Harbor" not in text


def test_the_longest_name_is_shortened_first_and_ends_in_a_full_stop() -> None:
    visit = replace(VISIT, requests_confirmation=True, clinic_name="Saint Bartholomew " * 5)
    assert render_message(MessageKind.REMINDER, PATIENT, "en", visit) == (
        "Reminder: Tue, Mar 10, 2:05 PM, Dr. Elizabeth Blackwell, "
        "Saint Bartholomew Saint Bartholomew Saint Bartholomew Saint Bartholo. "
        "Reply 1 to confirm, 2 to cancel."
    )
    both = replace(visit, doctor_name="Dr. " + "Maximiliana " * 5)
    assert render_message(MessageKind.REMINDER, PATIENT, "en", both) == (
        "Reminder: Tue, Mar 10, 2:05 PM, Dr. Maximiliana Maximiliana Maximiliana Maxim., "
        "Saint Bartholomew Saint Bartholomew Saint Bar. "
        "Reply 1 to confirm, 2 to cancel."
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_everything_is_long_a_dozen_letters_of_each_name_remain(language: Language) -> None:
    details = replace(SANTIAGO, doctor_name="D" * 120, clinic_name="C" * 120, patient_name="P" * 120)
    for text in every_text(language, details):
        if "DDD" in text:
            assert "D" * 11 in text, text
        if "CCC" in text:
            assert "C" * 11 in text, text


def test_a_phone_that_is_too_long_makes_the_message_longer() -> None:
    """It is the one thing that helps; stored phones are E.164, so there is none."""
    phone = "+1" + "0" * 200
    assert render_answer(AnswerText.NOTHING_OPEN, "en", phone=phone).endswith(f"Call {phone}.")
    assert phone in render_answer(AnswerText.TOO_LATE, "en", replace(VISIT, clinic_phone=phone))


def test_a_name_that_cannot_be_written_is_replaced_by_what_it_stands_for() -> None:
    visit = replace(VISIT, doctor_name="👍", clinic_name="🏥", patient_name="❤️")
    assert render_message(MessageKind.BOOKED, PATIENT, "en", visit) == (
        "Your appointment: Tue, Mar 10, 2:05 PM, your doctor, the clinic."
    )
    assert render_message(MessageKind.CONFIRMED, DOCTOR, "es", visit) == (
        "Confirmada: un paciente, mar 10 de marzo, 2:05 p.m., la clinica."
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Maria Garcia Lopez", "Maria L."),
        ("Maria L.", "Maria L."),
        ("Ana (Anita)", "Ana A."),
        ("Ángel", "Angel"),
        ("Юлия Щербакова", "Yuliya S."),
        ("Ana 👍", "Ana"),
        ("Ana -", "Ana"),
        ("", "a patient"),
    ],
)
def test_the_doctor_reads_a_first_name_and_an_initial(name: str, told: str) -> None:
    text = render_message(MessageKind.CONFIRMED, DOCTOR, "en", replace(VISIT, patient_name=name))
    assert text == f"Confirmed: {told}, Tue, Mar 10, 2:05 PM, Harbor Street Clinic."


def test_patients_never_read_a_patients_name() -> None:
    details = replace(VISIT, patient_name="Zebulon Quux")
    texts = [render_message(kind, PATIENT, language, details) for kind in TO_PATIENT for language in LANGUAGES]
    assert not [text for text in texts if "Zebulon" in text or "Quux" in text]


def test_no_text_suggests_a_word_that_ends_all_messages() -> None:
    """Twilio would take it as the wish never to hear from us again. In lower case it is no more than a verb."""
    forbidden = re.compile(
        r"\b(STOP|STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|REVOKE|OPTOUT)\b"
        r"|(reply|send|text|responda|envíe)\s+\W*(stop|cancel|end|quit|unsubscribe|revoke)",
    )
    found = [
        text
        for language in LANGUAGES
        for visit in VISITS
        for text in [*every_text(language, visit), render_choices(language, [SANTIAGO])]
        if forbidden.search(text)
    ]
    assert not found


def test_there_is_a_text_for_everything_that_is_owed_in_each_language() -> None:
    for language in LANGUAGES:
        texts = {(kind, to) for to, of_kind in MESSAGES[language].items() for kind in of_kind}
        assert {*texts, (MessageKind.REMINDER, PATIENT)} == set(OWED)
    assert {kind for kind, _ in OWED} == set(MessageKind)


def test_what_nobody_owes_cannot_be_said() -> None:
    with pytest.raises(KeyError):
        render_message(MessageKind.REMINDER, DOCTOR, "en", VISIT)
    with pytest.raises(KeyError):
        render_answer(AnswerText.CONFIRMED, "en")
    with pytest.raises(KeyError):
        render_answer(AnswerText.TOO_EARLY, "en", replace(VISIT, opens=None))
