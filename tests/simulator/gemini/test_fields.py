import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.gemini.fields import (
    Fields,
    Refusal,
    camel,
    decode,
    duration,
    parse,
)


@given(st.binary(max_size=99))
def test_both_alphabets_with_and_without_padding_are_base64(data):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(data).decode()
        assert decode(text, "x") == decode(text.rstrip("="), "x") == data


@pytest.mark.parametrize("text", ["A", "é", "A A=", "===="])
def test_other_text_is_refused(text):
    with pytest.raises(Refusal, match="Base64"):
        decode(text, "x")


@pytest.mark.parametrize(
    ("ms", "text"), [(1880, "1.880s"), (5000, "5s"), (0, "0s"), (60, "0.060s")]
)
def test_durations_are_protobuf_s(ms, text):
    assert duration(ms) == text


@given(st.text(max_size=300))
def test_reasons_fit_into_a_close_frame(text):
    reason = Refusal(1007, text).reason
    assert len(reason.encode()) <= 123
    assert text.startswith(reason)


@pytest.mark.parametrize("count", [40, "40", 40.0])
def test_counts_are_lenient_as_protobuf_is(count):
    assert Fields({"top_k": count}).count("topK") == 40


@pytest.mark.parametrize("count", [-1, 0.5, "x", True, [], 2**31, "9" * 5000, float("inf")])
def test_other_counts_are_refused(count):
    with pytest.raises(Refusal, match=r"'setup\.top_k'"):
        Fields({"topK": count}, "setup").count("topK")


def test_null_is_absent():
    fields = Fields({"a": None})
    assert "a" not in fields
    assert (fields.text("a"), fields.child("a"), fields.items("a")) == (None, None, [])
    assert fields.only() is fields


def test_names_are_the_same_in_both_cases():
    assert camel("voice_name") == camel("voiceName") == "voiceName"


@pytest.mark.parametrize("frame", [b"\xff", "", "{", "[" * 100_000, "null", '"setup"', "1" * 5000])
def test_what_is_not_an_object_is_refused(frame):
    with pytest.raises(Refusal, match="Invalid JSON"):
        parse(frame)
