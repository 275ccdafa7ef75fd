import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.speech.numbers import (
    find_numbers,
    join_digits,
    parse_number,
    spoken_number,
)


@given(st.integers(min_value=-999_999_999, max_value=999_999_999))
def test_every_number_is_read_back(value: int):
    assert parse_number(spoken_number(value).split()) == value


@given(st.lists(st.integers(min_value=0, max_value=999_999), min_size=1, max_size=4))
def test_numbers_between_other_words_stay_apart(values: list[int]):
    words = " then ".join(spoken_number(value) for value in values).split()
    assert [number.value for number in find_numbers(words)] == values


WORDS = ["one", "five", "ten", "twenty", "hundred", "thousand", "and", "point", "minus", "a", "12"]


@given(st.lists(st.sampled_from([*WORDS, "0.5", "word"])))
def test_numbers_do_not_overlap(words: list[str]):
    end = 0
    for number in find_numbers(words):
        assert end <= number.start < number.stop <= len(words)
        end = number.stop


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("two hundred and five", 205),
        ("a hundred", 100),
        ("one thousand and one", 1001),
        ("minus two point five", -2.5),
        ("zero point oh five", 0.05),
        ("12", 12),
        ("12.5", 12.5),
        ("3 thousand", 3000),
        ("twenty five", 25),
    ],
)
def test_a_number_is_read(text: str, value: float):
    assert parse_number(text.split()) == value


@pytest.mark.parametrize("text", ["", "five minutes", "and five", "hundred", "one two"])
def test_what_is_no_number_is_none(text: str):
    assert parse_number(text.split()) is None


def test_three_and_five_are_two_numbers():
    assert [number.value for number in find_numbers(["three", "and", "five"])] == [3, 5]


def test_minus_between_numbers_subtracts():
    assert [number.value for number in find_numbers(["six", "minus", "two"])] == [6, 2]


def test_single_digits_can_be_joined():
    joined = join_digits(find_numbers(["order", "four", "two", "seven"]))
    assert joined is not None
    assert (joined.value, joined.start, joined.stop) == (427, 1, 4)


@pytest.mark.parametrize("text", ["four and two", "twenty four two", "hello"])
def test_other_numbers_are_not_joined(text: str):
    assert join_digits(find_numbers(text.split())) is None


def test_too_many_digits_are_refused():
    with pytest.raises(ValueError, match="nine digits"):
        spoken_number(10**9)
