"""What patients send back, and how it reads."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from beanie import PydanticObjectId
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from backend.messaging.inbound.parse_reply import Reply, ReplyKind, code_of, parse

CONFIRM, CANCEL, UNKNOWN = ReplyKind.CONFIRM, ReplyKind.CANCEL, ReplyKind.UNKNOWN
OPT_OUT, OPT_IN, HELP = ReplyKind.OPT_OUT, ReplyKind.OPT_IN, ReplyKind.HELP

BODIES: list[tuple[str, ReplyKind, str, str | None]] = [
    # confirm
    ("1", CONFIRM, "1", None),
    (" 1 ", CONFIRM, "1", None),
    ("1.", CONFIRM, "1", None),
    ("1!", CONFIRM, "1", None),
    ("(1)", CONFIRM, "1", None),
    ("#1", CONFIRM, "1", None),
    ('"1"', CONFIRM, "1", None),
    ("«1»", CONFIRM, "1", None),
    ("1\n", CONFIRM, "1", None),
    ("\t1\r\n\r\n", CONFIRM, "1", None),
    ("１", CONFIRM, "1", None),
    ("1️⃣", CONFIRM, "1", None),
    ("①", CONFIRM, "1", None),
    ("1 👍", CONFIRM, "1", None),
    ("👍🏽1", CONFIRM, "1", None),
    ("1 ❤️🙏", CONFIRM, "1", None),
    ("\u200e1\u200f", CONFIRM, "1", None),
    ("\ufeff1", CONFIRM, "1", None),
    ("1\x00", CONFIRM, "1", None),
    ("\ud8001", CONFIRM, "1", None),
    ("c", CONFIRM, "C", None),
    ("C", CONFIRM, "C", None),
    ("Confirm", CONFIRM, "CONFIRM", None),
    ("CONFIRM!!!", CONFIRM, "CONFIRM", None),
    ("ｃｏｎｆｉｒｍ", CONFIRM, "CONFIRM", None),
    ("yes", CONFIRM, "YES", None),
    ("Yes.", CONFIRM, "YES", None),
    ("YES 😀", CONFIRM, "YES", None),
    ("si", CONFIRM, "SI", None),
    ("Sí", CONFIRM, "SI", None),
    ("SÍ", CONFIRM, "SI", None),
    ("Si\u0301", CONFIRM, "SI", None),
    ("¡Sí!", CONFIRM, "SI", None),
    ("sì", CONFIRM, "SI", None),
    # cancel
    ("2", CANCEL, "2", None),
    ("2.", CANCEL, "2", None),
    ("*2*", CANCEL, "2", None),
    ("２", CANCEL, "2", None),
    ("2️⃣ 😢", CANCEL, "2", None),
    ("x", CANCEL, "X", None),
    ("X!", CANCEL, "X", None),
    ("no", CANCEL, "NO", None),
    ("No.", CANCEL, "NO", None),
    ("NO :(", CANCEL, "NO", None),
    # with an appointment's code
    ("1 K7M", CONFIRM, "1", "K7M"),
    ("1 k7m", CONFIRM, "1", "K7M"),
    ("1k7m", CONFIRM, "1", "K7M"),
    ("1, K7M.", CONFIRM, "1", "K7M"),
    ("1-K7M", CONFIRM, "1", "K7M"),
    ("1: (k7m)", CONFIRM, "1", "K7M"),
    ("1\nK7M", CONFIRM, "1", "K7M"),
    ("1 👍 K7M 👍", CONFIRM, "1", "K7M"),
    ("１ Ｋ７Ｍ", CONFIRM, "1", "K7M"),
    ("1️⃣ K7️⃣M", CONFIRM, "1", "K7M"),
    ("c 4kc", CONFIRM, "C", "4KC"),
    ("confirm k7m", CONFIRM, "CONFIRM", "K7M"),
    ("Yes K7M", CONFIRM, "YES", "K7M"),
    ("sí, k7m", CONFIRM, "SI", "K7M"),
    ("2 34X", CANCEL, "2", "34X"),
    ("2k7m!", CANCEL, "2", "K7M"),
    ("x K7M", CANCEL, "X", "K7M"),
    ("No K7M", CANCEL, "NO", "K7M"),
    # Twilio's words
    ("STOP", OPT_OUT, "STOP", None),
    ("stop", OPT_OUT, "STOP", None),
    (" Stop. ", OPT_OUT, "STOP", None),
    ("StopAll", OPT_OUT, "STOPALL", None),
    ("unsubscribe", OPT_OUT, "UNSUBSCRIBE", None),
    ("CANCEL", OPT_OUT, "CANCEL", None),
    ("cancel!", OPT_OUT, "CANCEL", None),
    ("End", OPT_OUT, "END", None),
    ("quit", OPT_OUT, "QUIT", None),
    ("revoke", OPT_OUT, "REVOKE", None),
    ("OptOut", OPT_OUT, "OPTOUT", None),
    ("START", OPT_IN, "START", None),
    ("start 🙂", OPT_IN, "START", None),
    ("Unstop", OPT_IN, "UNSTOP", None),
    ("HELP", HELP, "HELP", None),
    ("help?", HELP, "HELP", None),
    ("info", HELP, "INFO", None),
    # anything else
    ("", UNKNOWN, "", None),
    ("   \n", UNKNOWN, "", None),
    ("?", UNKNOWN, "", None),
    ("👍", UNKNOWN, "", None),
    ("❌", UNKNOWN, "", None),
    ("\x00", UNKNOWN, "", None),
    ("\ud800\udfff", UNKNOWN, "", None),
    ("3", UNKNOWN, "3", None),
    ("0", UNKNOWN, "0", None),
    ("11", UNKNOWN, "11", None),
    ("12", UNKNOWN, "12", None),
    ("1 2", UNKNOWN, "1", None),
    ("1/2", UNKNOWN, "1", None),
    ("½", UNKNOWN, "1", None),
    ("1 or 2?", UNKNOWN, "1", None),
    ("1 1", UNKNOWN, "1", None),
    ("١", UNKNOWN, "١", None),
    ("one", UNKNOWN, "ONE", None),
    ("uno", UNKNOWN, "UNO", None),
    ("yes please", UNKNOWN, "YES", None),
    ("Yes, I'll be there", UNKNOWN, "YES", None),
    ("yeses", UNKNOWN, "YESES", None),
    ("no gracias", UNKNOWN, "NO", None),
    ("No, I'll come", UNKNOWN, "NO", None),
    ("no problem", UNKNOWN, "NO", None),
    ("sí por favor", UNKNOWN, "SI", None),
    ("ok", UNKNOWN, "OK", None),
    ("k7m", UNKNOWN, "K7M", None),
    ("K7M 1", UNKNOWN, "K7M", None),
    ("1 K7M 3RD", UNKNOWN, "1", None),
    ("1 KKK", UNKNOWN, "1", None),
    ("1 777", UNKNOWN, "1", None),
    ("1777", UNKNOWN, "1777", None),
    ("1 K7", UNKNOWN, "1", None),
    ("1 K1M", UNKNOWN, "1", None),
    ("3k7m", UNKNOWN, "3K7M", None),
    ("1 K 7 M", UNKNOWN, "1", None),
    ("stop please", UNKNOWN, "STOP", None),
    ("please cancel", UNKNOWN, "PLEASE", None),
    ("cancel K7M", UNKNOWN, "CANCEL", None),
    ("stop all", UNKNOWN, "STOP", None),
    ("start K7M", UNKNOWN, "START", None),
    ("help me", UNKNOWN, "HELP", None),
    ("s.i.", UNKNOWN, "S", None),
    ("Да", UNKNOWN, "ДА", None),
    ("是", UNKNOWN, "是", None),
]


@pytest.mark.parametrize(("body", "kind", "word", "code"), BODIES, ids=range(len(BODIES)))
def test_a_reply_is_read_whole(body: str, kind: ReplyKind, word: str, code: str | None) -> None:
    assert parse(body) == Reply(kind, word, code)


def test_what_is_shown_stands_for_many() -> None:
    assert len(BODIES) >= 80
    assert len({body for body, *_ in BODIES}) == len(BODIES)


@pytest.mark.parametrize(
    ("body", "opts_in"),
    [
        ("START", True),
        ("unstop", True),
        ("YES", True),
        ("yes!", True),
        ("YES K7M", False),
        ("yes please", False),
        ("1", False),
        ("SI", False),
        ("STOP", False),
    ],
)
def test_what_twilio_takes_for_opting_in(body: str, opts_in: bool) -> None:
    assert parse(body).opts_in is opts_in


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=2000))
def test_any_text_can_be_read(body: str) -> None:
    reply = parse(body)
    assert reply.word == reply.word.strip()
    assert reply.kind is not ReplyKind.UNKNOWN or reply.code is None


@given(
    before=st.text(alphabet=" \t\n.,;:!?¡¿\"'()*-_#👍🙏❤\ufe0f\u200b\x00", max_size=20),
    after=st.text(alphabet=" \t\n.,;:!?¡¿\"'()*-_#👍🙏❤\ufe0f\u200b\x00", max_size=20),
    body=st.sampled_from([(body, kind) for body, kind, *_ in BODIES if kind is not ReplyKind.UNKNOWN]),
)
def test_what_stands_around_the_words_does_not_matter(before: str, after: str, body: tuple[str, ReplyKind]) -> None:
    text, kind = body
    assert parse(before + text + after).kind is kind


@pytest.mark.parametrize(
    "body",
    [
        "1" * 10_000,
        "no " * 4_000,
        "1 " + "?" * 10_000,
        "\u0301\u0323" * 5_000,
        "\ufdfa" * 10_000,
        "\ud800" * 10_000,
        "\x00" * 10_000,
        "👍" * 10_000,
        "a" * 1_601,
    ],
    ids=range(9),
)
def test_nothing_of_ten_thousand_characters_is_one_of_our_words(body: str) -> None:
    assert parse(body) == Reply(ReplyKind.UNKNOWN, "")


def test_space_around_a_reply_is_not_counted() -> None:
    assert parse(" " * 5_000 + "1" + "\n" * 5_000).kind is ReplyKind.CONFIRM


def made_together(count: int) -> list[PydanticObjectId]:
    """Ids as one process makes them, one after another."""
    first = ObjectId.from_datetime(datetime(2026, 3, 10, tzinfo=UTC)).binary
    return [PydanticObjectId(first[:9] + number.to_bytes(3)) for number in range(count)]


def test_a_code_is_always_the_same() -> None:
    ids = made_together(100)
    assert [code_of(each) for each in ids] == [code_of(PydanticObjectId(str(each))) for each in ids]
    assert code_of(PydanticObjectId("671f0c0e9b1d8a0001a1b2c3")) == "6J6"


def test_a_code_is_never_a_word_nor_a_number_nor_easily_misread() -> None:
    for code in map(code_of, made_together(20_000)):
        assert len(code) == 3
        assert set(code) <= set("34679CDFHJKMNPRTVWX")
        assert any(c.isdigit() for c in code)
        assert any(c.isalpha() for c in code)


def test_every_code_can_be_sent_back() -> None:
    for code in {code_of(each) for each in made_together(20_000)}:
        assert parse(f"1 {code.lower()}") == Reply(ReplyKind.CONFIRM, "1", code)
        assert parse(f"2{code}") == Reply(ReplyKind.CANCEL, "2", code)


def test_codes_of_ids_made_one_after_another_are_spread() -> None:
    """40,000 over 3,990 codes: as evenly as dice would, and neighbours are not alike."""
    codes = [code_of(each) for each in made_together(40_000)]
    times = Counter(codes)
    assert len(times) > 3_980
    assert max(times.values()) < 30
    assert sum(a == b for a, b in pairwise(codes)) < 40
    for position in range(3):
        assert max(Counter(code[position] for code in codes).values()) < 40_000 * 0.09
