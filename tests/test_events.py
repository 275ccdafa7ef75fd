import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from realtime_facade import events
from realtime_facade.errors import RealtimeConnectionError, RealtimeError
from realtime_facade.events import (
    AnyEvent,
    AudioChunk,
    ErrorOccurred,
    Event,
    ToolCallRequest,
    TranscriptDelta,
)

ALL = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


def test_the_union_is_closed_over_all_events():
    [union, _] = AnyEvent.__origin__, AnyEvent.__metadata__
    assert set(union.__args__) == set(ALL)
    names = [kind.model_fields["type"].default for kind in ALL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("size", "rate", "expected"), [(4800, 24_000, 100), (320, 16_000, 10), (0, 24_000, 0)]
)
def test_a_chunk_knows_its_duration(size, rate, expected):
    assert AudioChunk(data=bytes(size), sample_rate=rate).duration_ms == expected


def test_a_given_duration_is_kept():
    chunk = AudioChunk(data=b"...", duration_ms=100, is_final=False)
    assert (chunk.data, chunk.duration_ms) == (b"...", 100)


def test_events_are_facts():
    delta = TranscriptDelta(text="Hello there", is_final=True, speaker="assistant")
    with pytest.raises(ValidationError):
        delta.text = "other"
    with pytest.raises(ValidationError):
        TranscriptDelta(text="x", speaker="nobody")
    with pytest.raises(ValidationError):
        ToolCallRequest(call_id="c", function_name="f", surprise=1)


def test_audio_stays_out_of_reprs():
    assert "data" not in repr(AudioChunk(data=bytes(10)))


@given(st.binary(max_size=64))
def test_a_saved_event_is_read_back(data):
    adapter = TypeAdapter(AnyEvent)
    event = AudioChunk(data=data, item_id="i")
    assert adapter.validate_json(adapter.dump_json(event)) == event


def test_errors_and_exceptions_say_the_same():
    error = RealtimeError(
        "too many", code="429", provider="p", retryable=True, cause="rate_limit", advice="wait"
    )
    event = ErrorOccurred.of(error)
    again = event.to_exception()
    assert vars(again) == vars(error)
    assert str(again) == "too many (wait)"
    assert isinstance(ErrorOccurred.of(error, fatal=True).to_exception(), RealtimeConnectionError)
