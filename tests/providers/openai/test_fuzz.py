"""Hostile frames never break the codec: each is refused or read, and the next good one works."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ProtocolError
from realtime_facade.events import AudioChunk, Event
from realtime_facade.providers.base import NOTHING
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.providers.openai.codec import OpenAICodec

KNOWN = {
    "session.created": {"session": {"id": "sess_1", "expires_at": 1}},
    "session.updated": {"session": {"id": "sess_1"}},
    "response.created": {"response": {"id": "r", "status": "in_progress"}},
    "response.done": {
        "response": {
            "id": "r",
            "status": "completed",
            "status_details": {"reason": "x", "error": {"code": "c"}},
            "usage": {"total_tokens": 1, "input_token_details": {"text_tokens": 1}},
        }
    },
    "response.output_audio.delta": {"item_id": "i", "response_id": "r", "delta": "AAAA"},
    "response.output_audio.done": {"item_id": "i", "response_id": "r"},
    "response.output_audio_transcript.delta": {"item_id": "i", "response_id": "r", "delta": "a"},
    "response.output_audio_transcript.done": {"item_id": "i", "transcript": "ab"},
    "response.output_text.delta": {"item_id": "i", "response_id": "r", "delta": "a"},
    "response.output_text.done": {"item_id": "i", "text": "ab"},
    "response.function_call_arguments.done": {"call_id": "c", "name": "n", "arguments": "{}"},
    "response.output_item.done": {
        "item": {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}
    },
    "conversation.item.input_audio_transcription.delta": {"item_id": "u", "delta": "a"},
    "conversation.item.input_audio_transcription.completed": {"item_id": "u", "transcript": "a"},
    "conversation.item.input_audio_transcription.failed": {"item_id": "u", "error": {}},
    "input_audio_buffer.speech_started": {"item_id": "u", "audio_start_ms": 1},
    "input_audio_buffer.speech_stopped": {"item_id": "u", "audio_end_ms": 1},
    "input_audio_buffer.committed": {"item_id": "u"},
    "input_audio_buffer.cleared": {},
    "error": {"error": {"code": "conversation_already_has_active_response", "message": "m"}},
}
GOOD = '{"type":"response.output_audio.delta","response_id":"z","item_id":"z%d","delta":"AAABAA=="}'

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "AAA", "AAA*", "\u0000", "9" * 400, 10**400, -(2**63), 1e308]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
known_frames = st.sampled_from(sorted(KNOWN)).map(lambda name: {"type": name, **KNOWN[name]})


def paths(tree, path=()):
    """Every place in a JSON object."""
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from paths(value, (*path, key))


@st.composite
def mutated(draw, frames):
    """A well-formed frame in which one place is gone or holds something else."""
    frame = json.loads(json.dumps(draw(frames)))
    *parents, last = draw(st.sampled_from(list(paths(frame))))
    place = frame
    for key in parents:
        place = place[key]
    if draw(st.booleans()):
        del place[last]
    else:
        place[last] = draw(values)
    return json.dumps(frame)


@st.composite
def damaged(draw, frames):
    """A frame cut short, or with bytes that do not belong there."""
    raw = json.dumps(draw(frames)).encode()
    at = draw(st.integers(0, len(raw)))
    filling = draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"[" * 5000, b'"', b"\xff"])))
    return raw[:at] + filling + (raw[at:] if draw(st.booleans()) else b"")


half_samples = st.binary(max_size=9).map(
    lambda pcm: json.dumps(
        {
            "type": "response.output_audio.delta",
            "item_id": "i",
            "response_id": "r",
            "delta": base64.b64encode(pcm).decode(),
        }
    )
)
huge = st.integers(1, 40).map(
    lambda kilobytes: '{"type":"x","pad":"' + "a" * kilobytes * 1_000 + '"}'
)
nested = st.integers(100, 3_000).map(lambda depth: '{"type":"x","a":' + '{"a":' * depth)


def any_frame(frames):
    return st.one_of(
        frames.map(json.dumps),
        mutated(frames),
        mutated(frames),
        damaged(frames),
        values.map(json.dumps),
        st.binary(max_size=40),
        st.text(alphabet=st.characters(), max_size=40),
        half_samples,
        huge,
        nested,
    )


class Survivor:
    """One codec that lives through all frames of a test, so that its state gets odd too."""

    def __init__(self):
        provider, config = OpenAIProvider(api_key="k"), RealtimeConfig()
        self.codec = OpenAICodec(config, provider.profile(config))
        self.frames = 0

    def receive(self, frame):
        self.frames += 1
        refusal, output = "", NOTHING
        try:
            output = self.codec.receive(frame)
        except ProtocolError as error:
            refusal = str(error)
        assert len(refusal) < 300
        assert all(json.loads(sent)["type"] for sent in output.frames)
        assert all(isinstance(event, Event) for event in output.events)
        chunks = [event for event in output.events if isinstance(event, AudioChunk)]
        assert all(len(chunk.data) % 2 == 0 for chunk in chunks)
        good = self.codec.receive(GOOD % self.frames)
        (chunk,) = good.events
        assert (chunk.data, chunk.response_id) == (b"\0\0\1\0", "z")


FUZZ = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.timeout(180)
def test_hostile_frames_are_refused_or_read_and_the_codec_stays_usable():
    survivor = Survivor()

    @FUZZ
    @given(any_frame(known_frames))
    def attack(frame):
        survivor.receive(frame)

    attack()
    assert survivor.frames >= 10_000


def test_damaged_recordings_are_refused_or_read(recordings, recording):
    recorded = [
        entry["data"]
        for path in sorted(recordings.glob("[ao][zp]*/*.yaml"))
        if not path.stem.endswith("_http")
        for entry in recording(f"{path.parent.name}/{path.stem}")
        if entry["direction"] == "received"
    ]
    assert len(recorded) > 300
    survivor = Survivor()

    @settings(FUZZ, max_examples=2_000)
    @given(st.one_of(mutated(st.sampled_from(recorded)), damaged(st.sampled_from(recorded))))
    def attack(frame):
        survivor.receive(frame)

    attack()
