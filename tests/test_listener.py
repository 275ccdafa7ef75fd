import inspect

from realtime_facade.errors import RealtimeError
from realtime_facade.events import (
    AudioChunk,
    ErrorOccurred,
    InactivityCountdown,
    Interrupted,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    SupervisorFinished,
    SupervisorStarted,
    TranscriptDelta,
)
from realtime_facade.listener import HEARD, AgentListener, calls


class Notes(AgentListener):
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __getattribute__(self, name: str):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        async def note(*args: object) -> None:
            self.calls.append((name, *args))

        return note


async def test_each_event_is_the_callback_that_it_means():
    notes = Notes()
    call = calls(notes)
    for event in (
        SpeechStarted(),
        SpeechStopped(),
        TranscriptDelta(text="what ", speaker="user", item_id="u"),
        TranscriptDelta(
            text="time", speaker="user", item_id="u", is_final=True, full_text=" what time "
        ),
        AudioChunk(data=b"ab", response_id="r"),
        AudioChunk(data=b"ab", response_id="r"),
        TranscriptDelta(text="Noon", item_id="a"),
        TranscriptDelta(text=".", item_id="a", is_final=True, full_text="Noon."),
        ResponseDone(response_id="r"),
        ResponseDone(response_id="only-a-tool-call"),
        Interrupted(),
        SupervisorStarted(call_id="c", task="book a table"),
        SupervisorStarted(call_id="d", task="book a table", answer="for two"),
        SupervisorFinished(call_id="d", result="booked", iterations=3, duration_ms=900),
        InactivityCountdown(remaining_seconds=5),
    ):
        assert isinstance(event, HEARD)
        await call(event)
    assert notes.calls == [
        ("on_user_started_speaking",),
        ("on_user_stopped_speaking",),
        ("on_user_transcript", "what time"),
        ("on_assistant_started_responding",),
        ("on_assistant_transcript_delta", "Noon"),
        ("on_assistant_transcript_delta", "."),
        ("on_assistant_transcript", "Noon."),
        ("on_assistant_stopped_responding",),
        ("on_agent_interrupted",),
        ("on_supervisor_started",),
        ("on_supervisor_finished",),
        ("on_user_inactivity_countdown", 5),
    ]


async def test_an_error_arrives_as_an_exception():
    notes = Notes()
    await calls(notes)(ErrorOccurred(message="oops", cause="device"))
    [(name, error)] = notes.calls
    assert name == "on_agent_error"
    assert isinstance(error, RealtimeError)
    assert (error.message, error.cause) == ("oops", "device")


async def test_every_callback_does_nothing_by_default():
    listener = AgentListener()
    for name, method in inspect.getmembers(listener, inspect.iscoroutinefunction):
        arguments = [None] * len(inspect.signature(method).parameters)
        assert await method(*arguments) is None, name
