"""Hostile frames: each is refused or yields events, and the codec works afterwards."""

import base64
import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ProtocolError
from realtime_facade.events import AudioChunk, Event
from realtime_facade.providers.gemini import GeminiProvider

AUDIO = base64.b64encode(bytes(range(48))).decode()
BLOB = {"mimeType": "audio/pcm;rate=24000", "data": AUDIO}
GOOD = [
    {"setupComplete": {"sessionId": "s"}},
    {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
    {"goAway": {"timeLeft": "50s"}},
    {"voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "1.880s"}, "serverContent": {}},
    {"voiceActivity": {"type": "ACTIVITY_END", "audioOffset": "5s"}},
    {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_SOS"}},
    {"serverContent": {"inputTranscription": {"text": " Hello"}}},
    {"serverContent": {"outputTranscription": {"text": "Hi"}, "modelTurn": {"parts": [
        {"text": "hm", "thought": True}, {"inlineData": BLOB}, {"executableCode": {}}]}}},
    {"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {"a": [1, None]}}]}},
    {"toolCallCancellation": {"ids": ["1"]}},
    {"serverContent": {"interrupted": True}},
    {"serverContent": {"generationComplete": True}},
    {"serverContent": {"turnComplete": True, "turnCompleteReason": "BLOCKLIST",
                       "interactionStatus": "IDLE", "groundingMetadata": {}},
     "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": "3", "responseTokensDetails": [
         {"modality": "AUDIO", "tokenCount": 2}]}},
    {"error": {"code": 429, "status": "S", "message": "m"}},
    {"code": 500, "message": "m"},
]  # fmt: skip
GOOD_FRAME = json.dumps({"serverContent": {"modelTurn": {"parts": [{"inlineData": BLOB}]}}})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "5s", "-1s", "1e9s", "999999999999s", "audio/pcm;rate=1", "audio/pcm;rate=999999", "é"]
    ),
    st.sampled_from(["=", "A", "AA", "A===", "$$", "AA==", "-_8=", AUDIO[:-1], AUDIO + "\n"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(node, path=()):
    """The path of every value inside a message."""
    yield path
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, inner in entries:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


@st.composite
def mutated(draw):
    """A good message, or two of them in one, with some values replaced, removed or added."""
    message = copy.deepcopy(draw(st.sampled_from(GOOD)))
    message |= copy.deepcopy(draw(st.sampled_from([{}, *GOOD])))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from([path for path in places(message) if path]))
        node = message
        for key in path[:-1]:
            node = node[key]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            node[path[-1]] = draw(values)
        elif action == "remove":
            del node[path[-1]]
        elif isinstance(node, dict):
            node[draw(st.text(max_size=6))] = draw(values)
        if not message:
            break
    return json.dumps(message).encode()


@st.composite
def damaged(draw):
    """A message cut short, with a byte changed, or with rubbish inside."""
    frame = bytearray(draw(mutated()))
    at = draw(st.integers(0, len(frame)))
    action = draw(st.sampled_from(["cut", "change", "insert"]))
    if action == "cut":
        del frame[at:]
    elif action == "insert":
        frame[at:at] = draw(st.binary(max_size=8))
    elif at < len(frame):
        frame[at] = draw(st.integers(0, 255))
    return bytes(frame)


@st.composite
def nested(draw):
    """Arrays or objects in each other, closed or not, alone or where something is expected."""
    depth = draw(st.sampled_from([1, 50, 150, 199, 200, 201, 1_000, 20_000]))
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}"), ('{"parts":[', "]}")]))
    core = opening * depth + "1" + closing * (depth if draw(st.booleans()) else 0)
    shell = draw(
        st.sampled_from(["%s", '{"news":%s}', '{"serverContent":{"modelTurn":%s}}',
                         '{"toolCall":{"functionCalls":[{"id":"1","name":"f","args":%s}]}}'])
    )  # fmt: skip
    return shell % core


@st.composite
def half_samples(draw):
    data = base64.b64encode(draw(st.binary(max_size=9))).decode()
    part = {"inlineData": {"mimeType": "audio/pcm", "data": data}}
    return json.dumps({"serverContent": {"modelTurn": {"parts": [part] * draw(st.integers(1, 3))}}})


frames = st.one_of(
    mutated(),
    damaged(),
    nested(),
    half_samples(),
    st.binary(max_size=40),
    st.text(max_size=40),
    values.map(json.dumps),
)


class Subject:
    """One codec for all frames, so that a state that a frame spoils shows in the next one."""

    def __init__(self):
        provider = GeminiProvider(api_key="key")
        config = RealtimeConfig()
        self.codec = provider.codec(config, provider.profile(config), ())
        self.refused = self.accepted = 0

    def feed(self, frame):
        before = state(self.codec)
        output = refusal = None
        try:
            output = self.codec.receive(frame)
        except ProtocolError as error:
            refusal = error
        if output is None:
            assert len(str(refusal)) < 400
            assert state(self.codec) == before
            self.refused += 1
        else:
            assert all(isinstance(event, Event) for event in output.events)
            self.accepted += 1
        chunks = [
            event
            for event in self.codec.receive(GOOD_FRAME).events
            if isinstance(event, AudioChunk)
        ]
        # A half sample of the frame before may be in front.
        assert len(chunks) == 1
        assert abs(len(chunks[0].data) - 48) <= 1


def state(thing):
    """Everything that a codec remembers, as plain values."""
    if hasattr(thing, "__dict__") and type(thing).__module__.startswith("realtime_facade"):
        return {key: state(value) for key, value in vars(thing).items()}
    return copy.deepcopy(thing)


@pytest.mark.timeout(240)
def test_ten_thousand_hostile_frames():
    subject = Subject()

    @settings(
        max_examples=10_000,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(frames)
    def feed(frame):
        subject.feed(frame)

    feed()
    # Both kinds were well represented.
    assert subject.refused > 1_000
    assert subject.accepted > 1_000


def test_megabytes_in_one_frame():
    subject = Subject()
    subject.feed(json.dumps({"news": "x" * 5_000_000}))
    subject.feed("[" * 5_000_000)
    subject.feed('{"usageMetadata":{"promptTokenCount":' + "9" * 100_000 + "}}")
    blob = {"mimeType": "audio/pcm", "data": "AAAA" * 1_000_000}
    subject.feed(json.dumps({"serverContent": {"modelTurn": {"parts": [{"inlineData": blob}]}}}))
    assert subject.accepted == 2
