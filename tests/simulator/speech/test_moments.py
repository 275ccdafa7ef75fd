from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_facade.simulator.speech.moments import MONTHS, ORDINALS, WEEKDAYS, find_moment
from realtime_facade.simulator.speech.words import keys

FRIDAY = datetime(2026, 11, 20, 10, 0)


def moment(text: str, form: str) -> str | None:
    found = find_moment(keys(text), FRIDAY)
    assert found is not None, f"no moment in {text!r}"
    return found.iso(form, FRIDAY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-11-20"),
        ("tomorrow", "2026-11-21"),
        ("the day after tomorrow", "2026-11-22"),
        ("next friday", "2026-11-20"),
        ("monday", "2026-11-23"),
        ("march third", "2027-03-03"),
        ("the third of march", "2027-03-03"),
        ("december twenty first", "2026-12-21"),
        ("march 3rd", "2027-03-03"),
        ("2026-12-24", "2026-12-24"),
    ],
)
def test_a_day_is_understood(text: str, expected: str):
    assert moment(text, "date") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("noon", "12:00"),
        ("at three p.m.", "15:00"),
        ("seven thirty in the evening", "19:30"),
        ("half past nine", "09:30"),
        ("quarter to one", "12:45"),
        ("nine o'clock", "09:00"),
        ("at five", "17:00"),
        ("at eight", "08:00"),
        ("at 10:30", "10:30"),
        ("5:30", "05:30"),
        ("12:00 am", "00:00"),
        ("3pm", "15:00"),
    ],
)
def test_a_time_is_understood(text: str, expected: str):
    assert moment(text, "time") == expected


@pytest.mark.parametrize(
    "text", ["tomorrow at half past three", "at half past three tomorrow", "at 3:30 p.m. tomorrow"]
)
def test_day_and_time_go_together(text: str):
    assert moment(text, "date-time") == "2026-11-21T15:30"


def test_a_form_that_needs_what_was_not_said_is_none():
    assert moment("tomorrow", "time") is None
    assert moment("tomorrow", "date-time") is None
    assert moment("noon", "date") is None


@pytest.mark.parametrize(
    "text", ["five minutes", "nothing", "march", "february thirtieth", "2026-13-40", "at 25", ""]
)
def test_what_is_no_moment_is_none(text: str):
    assert find_moment(keys(text), FRIDAY) is None


VOCABULARY = [
    *WEEKDAYS[:2], *MONTHS[:2], *ORDINALS[:2], "at", "on", "of", "the", "five", "thirty", "half",
    "past", "quarter", "to", "noon", "p.m", "10:30", "2026-02-30", "99", "tomorrow", "word",
]  # fmt: skip


@given(st.lists(st.sampled_from(VOCABULARY), max_size=8))
@example(["january", "first"])
@example(["at", "five", "ten"])
def test_any_words_are_survived(words: list[str]):
    found = find_moment(words, FRIDAY)
    if found is not None:
        assert 0 <= found.words.start < found.words.stop <= len(words)
