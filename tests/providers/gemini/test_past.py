"""A conversation that goes on over a new connection: what the model is told, and when."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from realtime_facade.commands import RequestResponse, SendText, SendToolResult
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import SeedMessage, ToolRound
from realtime_facade.events import SessionStarted, TurnEnded
from realtime_facade.providers.base import Past
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.gemini.past import NOTE

ROUND = ToolRound(
    call_id="a", function_name="weather", arguments={"city": "Zürich"}, output="sunny"
)
OLDER = "gemini-2.5-flash-native-audio-latest"


class Resumed:
    """A codec with a past, whose setup the service has accepted."""

    def __init__(self, past: Past, **settings: Any) -> None:
        provider, config = GeminiProvider(api_key="key"), RealtimeConfig(**settings)
        self.codec = provider.codec(config, provider.profile(config), (), past)
        (setup,) = self.codec.open().frames
        self.setup = json.loads(setup)["setup"]
        self.sent, self.events = self.receive(setupComplete={})

    def receive(self, **message: Any) -> tuple[list[Any], list[Any]]:
        frames, events = self.codec.receive(json.dumps(message).encode())
        return [json.loads(frame) for frame in frames], list(events)

    def send(self, command: Any) -> list[Any]:
        return [json.loads(frame) for frame in self.codec.send(command).frames]

    def say(self, text: str = "Well") -> None:
        self.receive(serverContent={"outputTranscription": {"text": text}})


@pytest.fixture
def resume() -> Callable[..., Resumed]:
    return lambda *items, handle=None, connections=0, **settings: Resumed(
        Past(items=items, handle=handle, connections=connections), **settings
    )


def turn(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text} for text in texts]}


def result(call_id: str, output: str, **more: Any) -> SendToolResult:
    return SendToolResult(call_id=call_id, function_name="weather", output=output, **more)


@pytest.mark.parametrize(("model", "initial"), [(None, True), (OLDER, False)])
def test_the_past_is_told_before_the_session_starts(resume, model, initial):
    again = resume(SeedMessage.user("Hi"), SeedMessage.assistant("Hello"), model=model)
    assert again.sent == [
        {
            "clientContent": {
                "turns": [turn("user", "Hi"), turn("model", "Hello")],
                "turnComplete": initial,
            }
        }
    ]
    assert [type(event) for event in again.events] == [SessionStarted]
    expected = {"initialHistoryInClientContent": True} if initial else None
    assert again.setup.get("historyConfig") == expected


def test_without_a_past_nothing_is_declared_or_sent(resume):
    fresh = resume()
    assert fresh.sent == []
    assert "historyConfig" not in fresh.setup
    assert fresh.setup["sessionResumption"] == {}


def test_a_second_setup_complete_repeats_nothing(resume):
    again = resume(SeedMessage.user("Hi"))
    assert again.receive(setupComplete={})[0] == []


def test_a_handle_brings_only_what_came_after_it(resume):
    again = resume(
        SeedMessage.user("And?"),
        handle="h-1",
        provider_options={"sessionResumption": {"transparent": False}},
    )
    assert again.setup["sessionResumption"] == {"transparent": False, "handle": "h-1"}
    assert "historyConfig" not in again.setup
    (frame,) = again.sent
    assert not frame["clientContent"]["turnComplete"]


def test_functions_and_the_applications_words_are_notes_in_one_turn(resume):
    again = resume(
        SeedMessage(role="system", text="Be brief"),
        SeedMessage.user("Weather?"),
        ROUND,
        ROUND.model_copy(update={"output": "no such city", "is_error": True}),
        ROUND.model_copy(update={"output": None}),
        SeedMessage.assistant("Sunny"),
    )
    turns = again.sent[0]["clientContent"]["turns"]
    assert [t["role"] for t in turns] == ["user", "model"]
    system, user, *notes = [part["text"] for part in turns[0]["parts"]]
    assert (system, user) == (NOTE + "Be brief", "Weather?")
    call = {"function": "weather", "arguments": {"city": "Zürich"}, "call": "a"}
    assert [json.loads(note.removeprefix(NOTE)) for note in notes] == [
        {**call, "result": "sunny"},
        {**call, "error": "no such city"},
        {**call, "status": "still running, its result comes later"},
    ]
    assert "Zürich" in notes[0]


def test_results_of_open_calls_are_told_together_and_once(resume):
    running = [ToolRound(call_id=name, function_name="weather") for name in "ab"]
    again = resume(*running)
    assert again.send(result("a", "sunny")) == []
    (frame,) = again.send(result("b", "broken", is_error=True))
    notes = frame["realtimeInput"]["text"].split("\n")
    told = [json.loads(note.removeprefix(NOTE)) for note in notes]
    assert [note.get("result") or note.get("error") for note in told] == ["sunny", "broken"]
    with pytest.raises(Exception, match="not open"):
        again.send(result("a", "again"))


def test_results_wait_for_the_end_of_an_answer_and_go_before_a_request(resume):
    again = resume(ToolRound(call_id="a", function_name="weather"))
    again.say()
    assert again.send(result("a", "sunny")) == []
    assert again.send(RequestResponse(instructions="Go on")) == []
    sent, events = again.receive(serverContent={"turnComplete": True})
    assert "sunny" in sent[0]["realtimeInput"]["text"]
    assert len(sent) == 1
    assert not any(isinstance(event, TurnEnded) for event in events)
    again.say()
    sent, _ = again.receive(serverContent={"turnComplete": True})
    assert sent == [{"realtimeInput": {"text": NOTE + "Go on"}}]


def test_results_survive_the_user_taking_the_word(resume):
    again = resume(ToolRound(call_id="a", function_name="weather"))
    again.say()
    again.send(result("a", "sunny"))
    again.receive(serverContent={"interrupted": True})
    sent, _ = again.receive(serverContent={"turnComplete": True})
    assert "sunny" in sent[0]["realtimeInput"]["text"]


def test_a_result_that_wants_no_answer_gets_none(resume):
    again = resume(ToolRound(call_id="a", function_name="weather"))
    (frame,) = again.send(result("a", "sunny", respond=False))
    assert frame["clientContent"]["turnComplete"] is False
    assert "sunny" in str(frame)


def test_the_turn_ends_with_results_that_want_no_answer(resume):
    again = resume(*(ToolRound(call_id=name, function_name="weather") for name in "ab"))
    assert again.codec.send(result("a", "sunny", respond=False)).events == ()
    assert again.codec.send(result("b", "sunny", respond=False)).events == (TurnEnded(),)
    again = resume(ToolRound(call_id="a", function_name="weather"))
    assert again.codec.send(result("a", "sunny")).events == (), "it ends with the answer"


def test_after_a_declared_history_an_answer_is_asked_for_in_words(resume):
    again = resume(SeedMessage.user("Hi"))
    assert again.send(RequestResponse()) == [{"realtimeInput": {"text": NOTE + "Answer now."}}]
    again.say()
    again.receive(serverContent={"turnComplete": True})
    assert again.send(RequestResponse()) == [{"clientContent": {"turnComplete": True}}]
    older = resume(SeedMessage.user("Hi"), model=OLDER)
    assert older.send(RequestResponse()) == [{"clientContent": {"turnComplete": True}}]


def test_ids_differ_from_those_of_earlier_connections(resume):
    later = resume(connections=2)
    later.send(SendText(text="Hi"))
    _, events = later.receive(
        serverContent={
            "inputTranscription": {"text": "Yes"},
            "outputTranscription": {"text": "Well"},
        }
    )
    ids = {event.item_id for event in events if hasattr(event, "item_id")}
    assert ids == {"c2-user-1", "c2-item-1"}
    assert {e.response_id for e in events if getattr(e, "response_id", "")} == {"c2-response-1"}
