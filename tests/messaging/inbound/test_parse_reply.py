"""What patients send back, and how it reads."""

import csv
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from beanie import PydanticObjectId
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from backend.messaging.inbound.parse_reply import Reply, ReplyKind, code_of, parse
from backend.messaging.inbound.reply_words import MEANING_OF, WISHES_FOR_SILENCE

Body = tuple[str, ReplyKind, str | None]


def read_bodies() -> list[Body]:
    """What people write, from `bodies.csv`: the body, what it means, and the code it gives."""
    with Path(__file__).with_name("bodies.csv").open(newline="", encoding="utf-8") as file:
        return [(row["body"], ReplyKind(row["meaning"]), row["code"] or None) for row in csv.DictReader(file)]


BODIES = read_bodies()
ACTED_ON = (ReplyKind.CONFIRM, ReplyKind.CANCEL)
UNDERSTOOD = [(body, kind) for body, kind, _ in BODIES if kind in ACTED_ON]
AROUND = " \t\n.,;:!\"'()*-_#👍🙏❤\ufe0f\u200b\x00"
NEGATIONS = (
    *("no", "not", "never", "don't", "don’t", "dont", "can't", "cannot", "won't", "isn't", "nope", "nah", "neither"),
    *("unable", "nunca", "tampoco", "jamás", "ni", "sin", "ya no", "NO!", "n0t", "ｎｏ", "❌", "👎", "🚫"),
)
OTHER_WISHES = (
    "but",
    "pero",
    "reschedule",
    "cambiar",
    "3pm",
    "later",
    "más tarde",
    "if",
    "maybe",
    "call me",
    "?",
    "¿",
)


@pytest.mark.parametrize(("body", "kind", "code"), BODIES, ids=range(len(BODIES)))
def test_a_reply_means_what_people_mean_by_it(body: str, kind: ReplyKind, code: str | None) -> None:
    reply = parse(body)
    assert (reply.kind, reply.code) == (kind, code)


def test_the_bodies_are_many_and_in_both_languages() -> None:
    assert len({body for body, *_ in BODIES}) == len(BODIES) >= 200
    assert set(Counter(kind for _, kind, _ in BODIES)) == set(ReplyKind)


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
    before=st.text(alphabet=AROUND, max_size=20),
    after=st.text(alphabet=AROUND, max_size=20),
    body=st.sampled_from(UNDERSTOOD),
)
def test_what_stands_around_the_words_does_not_matter(before: str, after: str, body: tuple[str, ReplyKind]) -> None:
    text, kind = body
    assert parse(before + text + after).kind is kind


def inserted(words: list[str], at: int, what: str) -> str:
    """The words with something more among them, wherever `at` falls."""
    place = at % (len(words) + 1)
    return " ".join([*words[:place], what, *words[place:]])


phrases = st.lists(st.sampled_from(sorted(MEANING_OF)), min_size=1, max_size=6).map(
    lambda said: " ".join(said).split()
)
said = st.one_of(phrases, st.sampled_from(UNDERSTOOD).map(lambda body: body[0].split()))


@given(said, st.integers(0, 40), st.sampled_from(NEGATIONS))
def test_nothing_with_a_negation_confirms(words: list[str], at: int, negation: str) -> None:
    assert parse(inserted(words, at, negation)).kind is not ReplyKind.CONFIRM


@given(said, st.integers(0, 40), st.sampled_from(OTHER_WISHES))
def test_nothing_with_a_question_or_another_wish_is_acted_on(words: list[str], at: int, wish: str) -> None:
    assert parse(inserted(words, at, wish)).kind not in ACTED_ON


@given(said, st.integers(0, 40), st.sampled_from(sorted(WISHES_FOR_SILENCE | {"STOP", "UNSUBSCRIBE", "OPT OUT"})))
def test_nothing_with_an_opt_out_confirms_or_cancels(words: list[str], at: int, wish: str) -> None:
    assert parse(inserted(words, at, wish)).kind not in ACTED_ON


@given(st.sampled_from(UNDERSTOOD), st.sampled_from(UNDERSTOOD))
def test_a_yes_beside_a_no_is_neither(one: tuple[str, ReplyKind], other: tuple[str, ReplyKind]) -> None:
    (first, kind), (second, other_kind) = one, other
    if kind is not other_kind:
        assert parse(f"{first} {second}").kind not in ACTED_ON


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("\t1\r\n\r\n", ReplyKind.CONFIRM),
        ("\n" * 700 + "1" + "\n" * 700, ReplyKind.CONFIRM),
        ("\u200e1\u200f", ReplyKind.CONFIRM),
        ("\ufeff1", ReplyKind.CONFIRM),
        ("1\x00", ReplyKind.CONFIRM),
        ("\ud8001", ReplyKind.CONFIRM),
        ("\u202e1", ReplyKind.CONFIRM),
        ("Si\u0301", ReplyKind.CONFIRM),
        ("s\u200bi", ReplyKind.CONFIRM),
        ("1\u200b2", ReplyKind.UNKNOWN),
        ("1\u202e2", ReplyKind.UNKNOWN),
        ("yes\u200bno", ReplyKind.UNKNOWN),
        ("yes n\u200bo", ReplyKind.UNKNOWN),
        ("yes n\u043e", ReplyKind.UNKNOWN),  # a Cyrillic o
        ("1\uff1f", ReplyKind.UNKNOWN),
        ("1\u037e", ReplyKind.CONFIRM),  # a Greek question mark is a semicolon
        ("نعم 1", ReplyKind.UNKNOWN),
        ("\x00", ReplyKind.UNKNOWN),
        ("\ud800\udfff", ReplyKind.UNKNOWN),
        ("s\u200btop", ReplyKind.OPT_OUT),
        ("ＳＴＯＰ", ReplyKind.OPT_OUT),
    ],
    ids=range(21),
)
def test_hidden_and_unusual_characters(body: str, kind: ReplyKind) -> None:
    assert parse(body).kind is kind


@pytest.mark.parametrize(
    "body",
    [
        "1" * 10_000,
        "no " * 4_000,
        "1 " + "?" * 10_000,
        "yes" + " " * 1_598,
        "\u0301\u0323" * 5_000,
        "\ufdfa" * 10_000,
        "\ud800" * 10_000,
        "\x00" * 10_000,
        "👍" * 10_000,
        "a" * 1_601,
    ],
    ids=range(10),
)
def test_nothing_of_more_than_1600_characters_is_understood(body: str) -> None:
    assert parse(body) == Reply(ReplyKind.UNKNOWN, "")


def made_together(count: int) -> list[PydanticObjectId]:
    """Ids as one process makes them, one after another."""
    first = ObjectId.from_datetime(datetime(2026, 3, 10, tzinfo=UTC)).binary
    return [PydanticObjectId(first[:9] + number.to_bytes(3)) for number in range(count)]


def test_a_code_is_always_the_same() -> None:
    ids = made_together(100)
    assert [code_of(each) for each in ids] == [code_of(PydanticObjectId(str(each))) for each in ids]
    assert code_of(PydanticObjectId("671f0c0e9b1d8a0001a1b2c3")) == "3TF"


def test_a_code_is_never_a_word_nor_a_number_nor_easily_misread() -> None:
    for code in map(code_of, made_together(20_000)):
        assert len(code) == 3
        assert set(code) <= set("34679CDFHJKMNPRTVWX")
        assert any(c.isdigit() for c in code)
        assert any(c.isalpha() for c in code)
        assert code[1:] not in ("PM", "TH", "RD")  # a time or a day is another wish, not a code


def test_every_code_can_be_sent_back() -> None:
    for code in {code_of(each) for each in made_together(20_000)}:
        assert parse(f"1 {code.lower()}") == Reply(ReplyKind.CONFIRM, "", code)
        assert parse(f"2{code}") == Reply(ReplyKind.CANCEL, "", code)


def test_codes_of_ids_made_one_after_another_are_spread() -> None:
    """40,000 over 3,975 codes: as evenly as dice would, and neighbours are not alike."""
    codes = [code_of(each) for each in made_together(40_000)]
    times = Counter(codes)
    assert len(times) > 3_965
    assert max(times.values()) < 30
    assert sum(a == b for a, b in pairwise(codes)) < 40
    for position in range(3):
        assert max(Counter(code[position] for code in codes).values()) < 40_000 * 0.09
