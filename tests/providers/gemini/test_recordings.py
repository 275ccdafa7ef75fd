"""Real sessions, replayed: the ground truth for what messages mean and what frames look like."""

import base64
import json
import re

import pytest

from realtime_facade.commands import AppendAudio, SendText, SendToolResult
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AudioChunk,
    ErrorOccurred,
    RawEvent,
    ResponseDone,
    SessionStarted,
    ThoughtDelta,
    TokenCounts,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
    Usage,
)
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.tools.definition import ToolDefinition

FREE_FORM = {"args", "parameters", "response"}


def camel(value):
    """The recording client writes snake_case at some levels; the service reads both."""
    if isinstance(value, dict):
        return {
            re.sub(r"_([a-z])", lambda match: match[1].upper(), key): (
                inner if key in FREE_FORM else camel(inner)
            )
            for key, inner in value.items()
        }
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def whole_samples(message):
    """The recorder cut each piece of speech to 33 bytes; the service sends whole samples."""
    for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", []):
        if blob := part.get("inlineData"):
            data = base64.b64decode(blob["data"])
            blob["data"] = base64.b64encode(data[: len(data) // 2 * 2]).decode()
    return message


class Replay:
    """The events of a session, and the frames of this codec beside the recorded client's."""

    def __init__(self, entries):
        theirs = [camel(entry["data"]) for entry in entries if entry["direction"] == "sent"]
        self.setup = theirs[0]["setup"]
        system = self.setup.get("systemInstruction")
        config = RealtimeConfig(
            model=self.setup["model"],
            instructions=system["parts"][0]["text"] if system else None,
        )
        self.declared = [
            function
            for tool in self.setup.get("tools", [])
            for function in tool["functionDeclarations"]
        ]
        tools = [
            ToolDefinition(
                name=function["name"],
                description=function["description"],
                parameters=function["parameters"],
            )
            for function in self.declared
        ]
        provider = GeminiProvider(api_key="key")
        self.codec = provider.codec(config, provider.profile(config), tools)
        self.own_setup = json.loads(self.codec.open().frames[0])["setup"]
        self.events = []
        self.pairs = []
        """Per recorded client message after the setup: its JSON and that of our frames."""
        for entry in entries[1:]:
            if entry["direction"] == "received":
                frame = json.dumps(whole_samples(entry["data"]), indent=2).encode()
                self.events += self.codec.receive(frame).events
            else:
                message = camel(entry["data"])
                outputs = [self.codec.send(command) for command in commands_for(message)]
                assert not any(output.events for output in outputs)
                frames = [json.loads(frame) for output in outputs for frame in output.frames]
                self.pairs.append((message, frames))

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def said(self, speaker):
        return [event for event in self.of(TranscriptDelta) if event.speaker == speaker]

    def check_one_good_turn(self):
        assert self.events[0] == SessionStarted(
            model="gemini-2.5-flash-native-audio-preview-09-2025"
        )
        assert not self.of(RawEvent)
        assert not self.of(ErrorOccurred)
        assert [type(event) for event in self.events[-2:]] == [ResponseDone, TurnEnded]
        assert len(self.of(ResponseDone)) == len(self.of(TurnEnded)) == 1
        assert self.of(ResponseDone)[0].status == "completed"
        chunks = self.of(AudioChunk)
        assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert {(chunk.item_id, chunk.response_id) for chunk in chunks} == {
            ("item-1", "response-1")
        }
        assert {chunk.sample_rate for chunk in chunks} == {24_000}
        assert not any(len(chunk.data) % 2 for chunk in chunks)
        # Texts are concatenated as they come, and the final one repeats them all.
        said = self.said("assistant")
        assert [delta.is_final for delta in said] == [False] * (len(said) - 1) + [True]
        assert "".join(delta.text for delta in said) == said[-1].full_text


def commands_for(message):
    """What an application of this package would do to have that message sent."""
    if "realtimeInput" in message:
        data = message["realtimeInput"]["audio"]["data"]
        return [AppendAudio(data=base64.urlsafe_b64decode(data))]
    if "toolResponse" in message:
        return [
            SendToolResult(
                call_id=answer["id"],
                function_name=answer["name"],
                output=answer["response"]["output"],
            )
            for answer in message["toolResponse"]["functionResponses"]
        ]
    content = message["clientContent"]
    turns = content["turns"]
    return [
        SendText(
            text=turn["parts"][0]["text"],
            role="assistant" if turn["role"] == "model" else "user",
            respond=content["turnComplete"] and turn is turns[-1],
        )
        for turn in turns
    ]


@pytest.fixture
def replay(recording):
    return lambda name: Replay(recording(name))


NAMES = [
    "audio_in_server_vad_turn",
    "message_history_seeding",
    "text_in_audio_out_turn",
    "tool_call_round",
]


@pytest.mark.parametrize("name", NAMES)
def test_setup_is_theirs_with_resumption_and_compression(replay, name):
    session = replay(name)
    ours = dict(session.own_setup)
    assert ours.pop("sessionResumption") == {}
    assert ours.pop("contextWindowCompression") == {"slidingWindow": {}}
    theirs = dict(session.setup)
    if session.declared:
        # Theirs in the service's own schema dialect, ours in JSON schema.
        ours_declared = ours.pop("tools")[0]["functionDeclarations"]
        theirs.pop("tools")
        assert [(f["name"], f["description"]) for f in ours_declared] == [
            (f["name"], f["description"]) for f in session.declared
        ]
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_frames_say_what_theirs_said(replay, name):
    for theirs, ours in replay(name).pairs:
        if "realtimeInput" in theirs:
            (frame,) = ours
            blob, recorded = frame["realtimeInput"]["audio"], theirs["realtimeInput"]["audio"]
            assert blob["mimeType"] == recorded["mimeType"]
            assert base64.b64decode(blob["data"]) == base64.urlsafe_b64decode(recorded["data"])
        elif "clientContent" in theirs:
            # They seed several turns with one message, we with one message each.
            bodies = [frame["clientContent"] for frame in ours]
            assert [turn for body in bodies for turn in body["turns"]] == theirs["clientContent"][
                "turns"
            ]
            assert bodies[-1]["turnComplete"] == theirs["clientContent"]["turnComplete"]
            assert not any(body["turnComplete"] for body in bodies[:-1])
        else:
            assert ours == [theirs]


def test_spoken_turn(replay):
    session = replay("audio_in_server_vad_turn")
    session.check_one_good_turn()
    assert len(session.pairs) == 55
    user = session.said("user")
    assert [delta.text for delta in user] == [" Hello", ",", " my", " name", " is Marcelo.", ""]
    assert user[-1].full_text == " Hello, my name is Marcelo."
    assert {delta.item_id for delta in user} == {"user-1"}
    # The user's words are final before anything of the answer is told.
    assert [event.type for event in session.events[:11]] == [
        "session_started",
        *["transcript"] * 6,
        "response_started",
        "thought",
        "transcript",
        "audio",
    ]
    assert session.of(ThoughtDelta)[0].text.startswith("**Acknowledge the Introduction**")
    assert session.said("assistant")[-1].full_text == "Hello, Marcelo."
    assert len(session.of(AudioChunk)) == 8
    assert session.of(ResponseDone)[0].usage == Usage(
        input=TokenCounts(total=1197, text=1196, audio=1),
        output=TokenCounts(total=65, text=28, audio=37, reasoning=28),
        total=1262,
    )


def test_seeded_history(replay):
    session = replay("message_history_seeding")
    session.check_one_good_turn()
    answer = "Your name is Alice, and your favorite color is teal."
    assert session.said("assistant")[-1].full_text == answer
    assert len(session.of(AudioChunk)) == 56
    usage = session.of(ResponseDone)[0].usage
    assert (usage.input.text, usage.output.audio, usage.total) == (1150, 85, 1263)


def test_written_question(replay):
    session = replay("text_in_audio_out_turn")
    session.check_one_good_turn()
    assert [event.type for event in session.events] == [
        "session_started",
        "response_started",
        "thought",
        "transcript",
        "audio",
        "audio",
        "transcript",
        "response_done",
        "turn_ended",
    ]
    assert session.said("assistant")[-1].full_text == "Hello there."
    usage = session.of(ResponseDone)[0].usage
    assert (usage.input.total, usage.output.total, usage.output.reasoning) == (1131, 50, 24)


def test_tool_round(replay):
    session = replay("tool_call_round")
    session.check_one_good_turn()
    assert [event.type for event in session.events[:4]] == [
        "session_started",
        "response_started",
        "tool_call",
        "transcript",
    ]
    assert session.of(ToolCallRequest) == [
        ToolCallRequest(
            call_id="function-call-3225422447732038294",
            function_name="record_reading",
            arguments={"zqx_measurement": 5, "qbf_note": "steady"},
            response_id="response-1",
        )
    ]
    text = 'I have recorded a reading of 5 with the note "steady."'
    assert session.said("assistant")[-1].full_text == text
    assert session.of(ResponseDone)[0].usage == Usage(
        input=TokenCounts(total=1267, text=1267),
        output=TokenCounts(total=103, text=22, audio=81),
        total=1370,
    )
