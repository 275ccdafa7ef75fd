import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.speech.words import (
    find_words,
    keys,
    listing,
    name_words,
    position_of,
    stem,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's the weather?", ["what's", "the", "weather"]),
        ("twenty-five % of 1,200", ["twenty", "five", "percent", "of", "1200"]),
        ("at 10:30 on 2026-11-24, please.", ["at", "10:30", "on", "2026-11-24", "please"]),
        ("2 + 3 * 4", ["2", "plus", "3", "times", "4"]),
        ("Z\u00fcrich \u2014 Caf\u00e9", ["z\u00fcrich", "caf\u00e9"]),
        ("paris,london", ["paris", "london"]),
        ("...", []),
    ],
)
def test_words_are_found(text: str, expected: list[str]):
    assert keys(text) == expected


def test_a_word_keeps_how_it_was_written():
    assert [word.text for word in find_words("Say Hello to ANN")] == ["Say", "Hello", "to", "ANN"]


@given(st.text())
def test_any_text_has_lower_case_words_without_spaces(text: str):
    for word in find_words(text):
        assert word.key
        assert not any(letter.isspace() for letter in word.key)


@pytest.mark.parametrize(
    "name", ["getWeather_for-city", "get_weather_for_city", "GetWeatherForCity"]
)
def test_an_identifier_has_words(name: str):
    assert name_words(name) == ["get", "weather", "for", "city"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timers", "timer"),
        ("timer's", "timer"),
        ("cities", "city"),
        ("sets", "set"),
        ("times", "time"),
    ],
)
def test_endings_do_not_matter(one: str, other: str):
    assert stem(one) == stem(other)


@given(st.text(alphabet="abcdeings'y", min_size=1))
def test_no_word_loses_everything(word: str):
    assert stem(word) or word == "'s"


def test_neighbours_are_found():
    assert position_of(["new", "york"], ["in", "new", "york"]) == 1
    assert position_of(["new", "york"], ["new", "old", "york"]) is None
    assert position_of([], ["anything"]) is None


@pytest.mark.parametrize(
    ("items", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_a_listing_is_a_phrase(items: list[str], text: str):
    assert listing(items) == text
