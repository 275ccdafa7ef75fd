import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.session.barge_in import heard_text


@pytest.mark.parametrize(
    ("text", "share", "expected"),
    [
        ("one two three", 0.0, ""),
        ("one two three", 1.0, "one two three"),
        ("one two three", 0.5, "one"),
        ("one two three", 7 / 13, "one two"),
        ("", 0.5, ""),
        ("unbreakable", 0.9, ""),
    ],
)
def test_only_whole_words_were_heard(text, share, expected):
    assert heard_text(text, share) == expected


@given(st.text(alphabet="ab ", max_size=60), st.floats(0, 1))
def test_heard_text_is_a_beginning_and_never_longer_than_its_share(text, share):
    heard = heard_text(text, share)
    assert text.startswith(heard)
    assert len(heard) <= len(text) * share
