"""Recorded sessions of OpenAI and of Azure, replayed through the codec.

The application's side is replayed as commands, so that the codec's state is what it was then.
"""

import base64
import json

import pytest

from realtime_facade.commands import AppendAudio, RequestResponse, SendText, SendToolResult
from realtime_facade.config import RealtimeConfig, Transcription
from realtime_facade.events import (
    AudioChunk,
    ErrorOccurred,
    InputCommitted,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    TokenCounts,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
    Usage,
    UsageReported,
)
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.tools.definition import ToolDefinition

NAMES = [
    "openai/audio_in_server_vad_turn",
    "openai/message_history_seeding",
    "openai/text_in_audio_out_turn",
    "openai/tool_call_round",
    "azure/audio_in_server_vad_transcribes",
    "azure/text_in_audio_out_turn",
    "azure/tool_call_round",
]


class Replay:
    """Runs a recording; checks on the way that the codec sends what was sent."""

    def __init__(self, entries):
        self.entries = entries
        self.events = []
        self.received = 0
        self._unsent = []
        """Recorded messages of the application that the codec has not sent yet."""
        setup = next(e["data"] for e in entries if e["data"]["type"] == "session.update")
        session = setup["session"]
        tools = tuple(
            ToolDefinition.model_validate({k: v for k, v in tool.items() if k != "type"})
            for tool in session.get("tools", ())
        )
        config = RealtimeConfig(
            instructions=session["instructions"],
            modalities=session["output_modalities"],
            voice=session["audio"]["output"].get("voice"),
            transcription=Transcription(model="gpt-realtime-whisper"),
        )
        provider = OpenAIProvider(api_key="key", base_url="http://127.0.0.1/v1")
        self.codec = provider.codec(config, provider.profile(config), tools)

    def run(self):
        for entry in self.entries:
            message = entry["data"]
            if entry["direction"] == "received":
                self.received += 1
                if message["type"] == "response.output_audio.delta":
                    # The recorder cut every delta to 33 bytes: half a sample that never was.
                    whole = base64.b64decode(message["delta"])[:32]
                    message = {**message, "delta": base64.b64encode(whole).decode()}
                self._note(self.codec.receive(json.dumps(message)))
            else:
                self._send(message)
        assert self._unsent == []
        return self

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def words(self, speaker):
        return "".join(e.text for e in self.of(TranscriptDelta) if e.speaker == speaker)

    def _send(self, message):
        command = self._command(message)
        if command is not None:
            self._note(self.codec.send(command))
        assert self._unsent, f"the codec has not sent {message}"
        ours = self._unsent.pop(0)
        ours.pop("event_id", None)
        # Our items have ids, by which their confirmation is known.
        ours.get("item", {}).pop("id", None)
        if message["type"] == "session.update":
            # We say the tool choice where there are tools; the recorded client left it out.
            ours["session"].pop("tool_choice", None)
        assert ours == message

    def _command(self, message):
        match message:
            case {"type": "input_audio_buffer.append", "audio": audio}:
                return AppendAudio(data=base64.b64decode(audio))
            case {"type": "conversation.item.create", "item": {"role": role, "content": [part]}}:
                return SendText(text=part["text"], role=role, respond=False)
            case {"type": "conversation.item.create", "item": {"call_id": call_id} as item}:
                output = item["output"]
                return SendToolResult(call_id=call_id, function_name="get_weather", output=output)
            case {"type": "response.create"} if not self._unsent:
                return RequestResponse()
        return None  # the codec sends it by itself

    def _note(self, output):
        self.events += output.events
        self._unsent += map(json.loads, output.frames)


@pytest.fixture
def replay(recording):
    return lambda name: Replay(recording(name)).run()


@pytest.mark.parametrize("name", NAMES)
def test_every_session_starts_flows_and_ends_without_complaint(replay, name):
    talk = replay(name)
    assert talk.of(ErrorOccurred) == []
    assert isinstance(talk.events[0], SessionStarted)
    assert talk.events[0].session_id.startswith("sess_")
    assert talk.events[0].model == "gpt-realtime"
    assert len(talk.of(TurnEnded)) == 1
    assert talk.events.index(talk.of(TurnEnded)[0]) > talk.events.index(talk.of(ResponseDone)[-1])
    started = [event.response_id for event in talk.of(ResponseStarted)]
    assert [event.response_id for event in talk.of(ResponseDone)] == started
    assert {event.status for event in talk.of(ResponseDone)} == {"completed"}
    # Nothing is lost: every message but session.created has become exactly one event; the last
    # one of the turn two, and so a transcript that is billed.
    transcribed = [e for e in talk.of(TranscriptDelta) if e.speaker == "user" and e.is_final]
    assert [e.usage.audio_s for e in talk.of(UsageReported)] == [3.0] * len(transcribed)
    assert len(talk.events) == talk.received - 1 + 1 + len(transcribed)
    for item in {event.item_id for event in talk.of(TranscriptDelta)}:
        *_, last = said = [e for e in talk.of(TranscriptDelta) if e.item_id == item]
        assert "".join(e.text for e in said) == last.full_text
        assert [e.is_final for e in said] == [False] * (len(said) - 1) + [True]


@pytest.mark.parametrize(
    ("name", "heard", "answer", "expires_at", "began", "stopped", "tokens"),
    [
        (
            "openai/audio_in_server_vad_turn",
            "Hello, my name is Marcelo.",
            "Hello, Marcelo! Great to meet you. How can I help you today?",
            1785217650,
            1460,
            4256,
            Usage(
                input=TokenCounts(total=41, text=14, audio=27),
                output=TokenCounts(total=164, text=28, audio=136),
                total=205,
            ),
        ),
        (
            "azure/audio_in_server_vad_transcribes",
            "Hello, my name is Marcelo.",
            "Hi Marcelo, it's great to meet you! What can I help you with today?",
            1784858052,
            1556,
            4224,
            Usage(
                input=TokenCounts(total=40, text=14, audio=26),
                output=TokenCounts(total=106, text=29, audio=77),
                total=146,
            ),
        ),
    ],
)
def test_voice_turn(replay, name, heard, answer, expires_at, began, stopped, tokens):
    talk = replay(name)
    assert talk.events[0].expires_at == expires_at
    assert (talk.words("user"), talk.words("assistant")) == (heard, answer)
    [first], [last], [committed] = (
        talk.of(SpeechStarted),
        talk.of(SpeechStopped),
        talk.of(InputCommitted),
    )
    assert (first.audio_ms, last.audio_ms) == (began, stopped)
    assert first.item_id == last.item_id == committed.item_id
    order = [type(event) for event in talk.events]
    assert (
        order.index(SpeechStarted)
        < order.index(SpeechStopped)
        < order.index(InputCommitted)
        < order.index(ResponseStarted)
        < order.index(AudioChunk)
    )
    *chunks, end = talk.of(AudioChunk)
    assert end.is_final
    assert end.data == b""
    assert len(chunks) > 10
    assert all(len(chunk.data) == 32 and not chunk.is_final for chunk in chunks)
    assert {chunk.item_id for chunk in chunks} == {end.item_id} != {first.item_id}
    assert talk.of(ResponseDone)[0].usage == tokens


@pytest.mark.parametrize("name", ["openai/text_in_audio_out_turn", "azure/text_in_audio_out_turn"])
def test_text_in_audio_out(replay, recording, name):
    talk = replay(name)
    whole = next(
        e["data"]["transcript"]
        for e in recording(name)
        if e["data"]["type"] == "response.output_audio_transcript.done"
    )
    assert talk.words("assistant") == whole != ""
    assert len(talk.of(AudioChunk)) > 2
    assert talk.of(AudioChunk)[-1].is_final
    assert talk.words("user") == ""


def test_history_is_seeded_before_the_question(replay):
    talk = replay("openai/message_history_seeding")
    assert talk.words("assistant") == "Your name is Alice, and your favorite color is teal!"
    assert talk.of(AudioChunk) == []
    assert talk.of(ResponseDone)[0].usage.total == 163


@pytest.mark.parametrize(
    ("name", "totals"),
    [("openai/tool_call_round", [85, 116]), ("azure/tool_call_round", [85, 109])],
)
def test_tool_call_round(replay, name, totals):
    talk = replay(name)
    [call] = talk.of(ToolCallRequest)
    assert (call.function_name, call.arguments) == ("get_weather", {"city": "London"})
    first, second = talk.of(ResponseDone)
    assert call.response_id == first.response_id
    assert [first.usage.total, second.usage.total] == totals
    assert second.usage.input.cached == 64
    assert talk.words("assistant") == "It is foggy and 12 degrees in London."
    assert talk.of(TurnEnded) == [TurnEnded(response_id=second.response_id)]
    # The deltas of the arguments mean nothing in common, but they are there.
    names = [event.name for event in talk.of(RawEvent)]
    assert "response.function_call_arguments.delta" in names
    assert "response.output_item.done" in names
