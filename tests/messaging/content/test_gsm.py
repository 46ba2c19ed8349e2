"""What GSM-7 can carry, how many segments a text takes, and what becomes of the rest."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.messaging.content.gsm import plain, segments, septets


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("See you at 9", 12),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ", 32),
        ("¤¡ÄÖÑÜ§¿äöñüà", 13),
        ("\f^{}\\[~]|€", 20),
        ("10 €", 5),
        ("á", None),
        ("ç", None),
        ("`", None),
        ("\t", None),
        ("\x1b", None),
        ("don’t", None),
        ("\u202f", None),
        ("👍", None),
        ("\ud800", None),
    ],
)
def test_a_text_is_as_long_as_its_septets(text: str, length: int | None) -> None:
    assert septets(text) == length


def test_the_alphabet_has_as_many_characters_as_the_standard_says() -> None:
    """128 codes, one of them the escape, and ten characters behind it."""
    carried = [c for c in map(chr, range(sys.maxunicode + 1)) if septets(c) is not None]
    assert len([c for c in carried if septets(c) == 1]) == 127
    assert len([c for c in carried if septets(c) == 2]) == 10


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 152, 2),
        ("€" * 153, 3),  # 306 septets, but no escape at the end of a part
        ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("é" * 160, 1),
        ("á" * 70, 1),
        ("á" * 71, 2),
        ("á" * 134, 2),
        ("á" * 135, 3),
        ("👍" * 35, 1),
        ("👍" * 36, 2),
        ("👍" * 66, 2),
        ("👍" * 67, 3),  # 134 units, but no half of a pair at the end of a part
        ("á" * 66 + "👍" + "á" * 66, 3),
        ("á" * 66 + "👍" + "á" * 65, 2),
        ("a" * 70 + "’", 2),
        ("\ud800" * 70, 1),
    ],
)
def test_a_text_takes_as_many_segments_as_the_carrier_bills(text: str, count: int) -> None:
    assert segments(text) == count


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Anna Müller", "Anna Müller"),
        ("José Peña", "José Peña"),
        ("Jose\u0301 Pen\u0303a", "José Peña"),
        ("María Ángeles Gutiérrez", "Maria Angeles Gutiérrez"),
        ("¿Cuándo? ¡Ya! 5 €", "¿Cuando? ¡Ya! 5 €"),
        ("François Çelik", "Francois Çelik"),
        ("Łukasz Żółć", "Lukasz Zolc"),
        ("Σοφία Παπαδοπούλου", "Sofia Papadopoyloy"),
        ("ΔΗΜΗΤΡΗΣ", "DIMITRIS"),
        ("Юлия Щербакова", "Yuliya Shcherbakova"),
        ("محمد", "mhmd"),
        ("王小明", "WangXiaoMing"),
        ("Nguyễn Thị Minh Khai", "Nguyen Thi Minh Khai"),
        ("O’Brien – “Doc” …", 'O\'Brien - "Doc" ...'),
        ("2:05\u202fPM", "2:05 PM"),
        ("a\u00a0b\u2003c", "a b c"),
        ("Line\r\nBreak\tTab\x00Nul\x85", "Line Break Tab Nul"),
        ("a\u2028b\u2029c\fd", "a b c d"),
        ("zero\u200bwidth\u200d\ufeff", "zerowidth"),
        ("\u202eevil\u202c", "evil"),
        ("Ana 👍🏽❤️ 👩\u200d⚕️ López", "Ana Lopez"),
        ("🇪🇸 Clínica", "Clinica"),
        ("Clinic №5 ①", "Clinic No5 1"),
        ("broken \ufffd \ud800 \ue000", "broken"),
        ("back`tick", "back'tick"),
        ("  two   spaces ", "two spaces"),
        ("👍", ""),
        ("", ""),
    ],
)
def test_what_gsm_7_does_not_have_is_written_with_what_it_has(text: str, line: str) -> None:
    assert plain(text) == line


@pytest.mark.long
def test_every_character_there_is_becomes_gsm_7() -> None:
    left = [c for c in map(chr, range(sys.maxunicode + 1)) if septets(plain(c)) is None]
    assert not left


def test_every_letter_of_western_europe_keeps_its_accent_or_its_letter() -> None:
    for c in map(chr, range(0xC0, 0x180)):
        if unicodedata.category(c).startswith("L"):
            assert plain(c) == c or plain(c).isalpha() or plain(c) == "'n", c


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_becomes_one_line_that_stays_as_it_is(text: str) -> None:
    line = plain(text)
    assert septets(line) is not None
    assert line == " ".join(line.split())
    assert line.isprintable()
    assert plain(line) == line


@given(st.text(alphabet="a€👍á\ud800", max_size=400))
def test_segments_are_never_fewer_than_the_text_needs(text: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    length = septets(text)
    if length is None:
        assert segments(text) == 1 if units <= 70 else -(-units // 67) <= segments(text) <= -(-units // 66)
    elif text:
        assert segments(text) == 1 if length <= 160 else -(-length // 153) <= segments(text) <= -(-length // 152)
