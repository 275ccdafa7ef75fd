from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from realtime_facade.errors import ToolFailed
from realtime_facade.tools.output import as_output, bounded


class Span(BaseModel):
    start: str
    days: int = 1


@dataclass
class Point:
    x: int
    when: date


class Colour(Enum):
    RED = "red"


def numbers() -> Iterator[int]:
    yield 1
    yield 2


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Span(start="x"), '{"start":"x","days":1}'),
        ([Span(start="x")], '[{"start":"x","days":1}]'),
        (Point(1, date(2026, 1, 2)), '{"x":1,"when":"2026-01-02"}'),
        (Colour.RED, '"red"'),
        (None, "null"),
        (3.5, "3.5"),
        (float("nan"), '"NaN"'),
        (numbers(), "[1,2]"),
        (int, "\"<class 'int'>\""),
    ],
)
def test_results_become_text(result, text):
    assert as_output(result) == text


def ring() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


@pytest.mark.parametrize("result", [b"x", bytearray(2), memoryview(b"x"), ring(), {"x": b"\xff"}])
def test_what_has_no_words_is_refused_by_name(result):
    with pytest.raises(ToolFailed, match="snapshot gave"):
        as_output(result, "snapshot")


@settings(deadline=None)
@given(st.text('a"é', max_size=300), st.integers(100, 200))
def test_a_text_is_cut_and_says_so(text, limit):
    told = bounded(text, limit)
    if len(text) <= limit:
        assert told == text
    else:
        assert told.startswith(text[:limit])
        assert f"of {len(text)} characters" in told
        assert len(told) < limit + 60
