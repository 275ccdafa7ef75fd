from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.speech.dictionary import as_file, guess, load, pronunciations

PHONES = frozenset(
    {"AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"}
    | {"IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH"}
    | {"UH", "UW", "V", "W", "Y", "Z", "ZH"}
)


def test_a_dictionary_is_read_with_its_variants(tmp_path: Path):
    path = tmp_path / "words.dict"
    path.write_text("a AH\na(2) EY\nread R IY D\n", encoding="utf-8")
    assert load(path) == {"a": ("AH", "EY"), "read": ("R IY D",)}


def test_unknown_words_are_guessed_and_known_ones_looked_up():
    found = pronunciations({"read", "shoo"}, {"read": ("R IY D", "R EH D")})
    assert found == {"read": ("R IY D", "R EH D"), "shoo": ("SH UW",)}
    assert as_file(found) == "read R IY D\nread(2) R EH D\nshoo SH UW\n"


def test_what_cannot_be_spoken_is_spelled():
    assert guess("xyz") != guess("xz") == "EH K S Z IY"


@given(st.text())
def test_every_word_gets_phones_of_the_model(word: str):
    assert set(guess(word).split()) <= PHONES
    assert guess(word)
