"""Silence counts from the end of hearing, to the second, on a clock that only the tests move."""

import asyncio
import math
from collections.abc import Callable

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import (
    AnyCommand,
    CommitAudio,
    RequestResponse,
    SendText,
    SendToolResult,
)
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    ConfigWarning,
    ConnectionChanged,
    ErrorOccurred,
    Event,
    InactivityCountdown,
    InactivityTimedOut,
    Interrupted,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SessionResumable,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.features.inactivity import Inactivity
from realtime_facade.session.state import Conversation, Phase, answers_speech
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator
from realtime_facade.voice import RealtimeVoice

RATE = 24_000


class Timer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due, self.callback, self.cancelled = due, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Session:
    """A session whose time passes when `wait` is called."""

    def __init__(self, timeout_s: float) -> None:
        self.now = 0.0
        self.config = RealtimeConfig()
        self.playback = Playback(RATE, clock=lambda: self.now)
        self.conversation = Conversation(answers_speech=answers_speech(self.config))
        self.timers: list[Timer] = []
        self.fired = 0
        self.said: list[tuple[float, str | int]] = []
        self.feature = Inactivity(timeout_s)
        self.feature.attach(self)

    @property
    def phase(self) -> Phase:
        return self.conversation.phase

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay_s, callback))
        return self.timers[-1]

    def emit(self, event: Event) -> None:
        match event:
            case InactivityCountdown():
                self.said.append((round(self.now, 3), event.remaining_seconds))
            case InactivityTimedOut():
                self.said.append((round(self.now, 3), "timed out"))
        self.happen(event)

    def hang_up(self, reason: str) -> None:
        self.said.append((round(self.now, 3), reason))

    def happen(self, *events: Event) -> None:
        for event in events:
            self.conversation.on_event(event)
            self.feature.on_event(event)

    def do(self, command: AnyCommand) -> None:
        self.conversation.on_command(command)
        self.feature.on_command(command)

    def speak(self, seconds: float) -> None:
        """An answer, which arrives in no time."""
        self.happen(ResponseStarted(response_id="r"))
        self.playback.write("a", bytes(2 * round(seconds * RATE)))
        self.happen(ResponseDone(response_id="r"), TurnEnded(response_id="r"))

    @property
    def running(self) -> list[Timer]:
        self.timers = [t for t in self.timers if not t.cancelled]
        return self.timers

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [t for t in self.running if t.due <= end + 1e-9]:
            timer = min(due, key=lambda t: t.due)
            self.timers.remove(timer)
            self.now = max(self.now, timer.due)
            self.fired += 1
            timer.callback()
        self.now = end


def session(timeout_s: float) -> Session:
    made = Session(timeout_s)
    made.happen(SessionStarted())
    return made


def ending(start: float, steps: int = 5) -> list[tuple[float, str | int]]:
    """The whole countdown, whose first step is at `start`."""
    seconds = [(start + steps - n, n) for n in range(steps, 0, -1)]
    return [*seconds, (start + steps, "timed out"), (start + steps, "inactivity")]


def test_a_silent_session_is_counted_down_and_ended():
    quiet = session(30)
    quiet.wait(24.9)
    assert quiet.said == []
    quiet.wait(100)
    assert quiet.said == ending(25)
    assert quiet.running == []


@pytest.mark.parametrize(("timeout_s", "start", "steps"), [(5, 0, 5), (3, 0, 3), (2.5, 0.5, 2)])
def test_a_short_timeout_has_a_shorter_countdown(timeout_s, start, steps):
    quiet = session(timeout_s)
    quiet.wait(10)
    assert quiet.said == ending(start, steps)


def test_less_than_a_second_has_none():
    quiet = session(0.4)
    quiet.wait(10)
    assert quiet.said == ending(0.4, 0)


def test_nothing_is_counted_before_the_session_has_started():
    made = Session(10)
    made.happen(ConfigWarning(setting="speed", message="no"))
    made.wait(60)
    assert made.said == []
    assert made.running == []


def test_time_counts_from_the_end_of_hearing():
    quiet = session(10)
    quiet.speak(40)
    quiet.wait(44.9)
    assert quiet.said == []
    quiet.wait(60)
    assert quiet.said == ending(45)


def test_a_loudspeaker_that_stands_still_stops_the_time_without_being_pestered():
    quiet = session(10)
    quiet.playback.report(0)
    quiet.speak(0.02)
    quiet.wait(60)
    assert quiet.said == []
    assert quiet.fired <= 60 / 0.05 + 1
    quiet.playback.report(20)
    now = quiet.now
    quiet.wait(60)
    assert [n for _, n in quiet.said] == [5, 4, 3, 2, 1, "timed out", "inactivity"]
    assert quiet.said[0][0] == pytest.approx(now + 5, abs=0.05)


@pytest.mark.parametrize(
    "happens",
    [
        (SpeechStarted(), SpeechStopped(), ResponseStarted(response_id="r"), TurnEnded()),
        (TranscriptDelta(text="hello", speaker="user"),),
        (ToolCallRequest(call_id="c", function_name="f"),),
        (ToolCallCompleted(call_id="c", function_name="f", output="", duration_ms=1),),
        (Interrupted(),),
    ],
    ids=lambda events: events[0].type,
)
def test_a_sign_of_life_begins_the_time_anew(happens):
    quiet = session(30)
    quiet.wait(20)
    quiet.happen(*happens)
    quiet.wait(60)
    assert quiet.said == ending(45)


@pytest.mark.parametrize(
    "command", [SendText(text="hello", respond=False)], ids=lambda command: type(command).__name__
)
def test_typed_text_begins_the_time_anew(command):
    quiet = session(30)
    quiet.wait(20)
    quiet.do(command)
    quiet.wait(60)
    assert quiet.said == ending(45)


@pytest.mark.parametrize(
    "command",
    [
        SendText(text="hello"),
        CommitAudio(),
        RequestResponse(),
        SendToolResult(call_id="c", function_name="f", output=""),
    ],
    ids=lambda command: type(command).__name__,
)
def test_while_an_answer_is_expected_no_time_passes(command):
    quiet = session(10)
    quiet.do(command)
    quiet.wait(300)
    assert quiet.said == []
    assert quiet.running == []
    quiet.happen(ErrorOccurred(message="refused"))
    quiet.wait(300)
    assert quiet.said == ending(305)


@pytest.mark.parametrize(
    "event",
    [RawEvent(name="rate_limits.updated", data={}), SessionResumable(handle="h")],
    ids=lambda event: event.type,
)
def test_the_providers_own_chatter_is_no_sign_of_life(event):
    quiet = session(30)
    quiet.wait(20)
    quiet.happen(event)
    quiet.do(SendText(text="context", role="system", respond=False))
    quiet.wait(60)
    assert quiet.said == ending(25)


def test_speech_stops_the_countdown_and_it_can_begin_again():
    quiet = session(30)
    quiet.wait(27)
    assert [n for _, n in quiet.said] == [5, 4, 3]
    quiet.happen(SpeechStarted())
    assert quiet.running == []
    quiet.wait(100)
    assert [n for _, n in quiet.said] == [5, 4, 3]
    quiet.happen(SpeechStopped())
    quiet.speak(3)
    now = quiet.now
    quiet.said.clear()
    quiet.wait(100)
    assert quiet.said == ending(now + 3 + 25)


def test_sound_during_the_countdown_stops_it():
    quiet = session(10)
    quiet.wait(7)
    quiet.playback.write("jingle", bytes(2 * 4 * RATE))
    quiet.wait(60)
    assert quiet.said == [(5, 5), (6, 4), (7, 3), *ending(16)]


def test_the_application_may_answer_the_countdown():
    quiet = session(10)
    happen = quiet.happen

    def react(*events: Event) -> None:
        happen(*events)
        if isinstance(events[0], InactivityCountdown):
            quiet.do(SendText(text="still there?"))

    quiet.happen = react
    quiet.wait(60)
    assert quiet.said == [(5, 5)]
    assert quiet.running == []


def test_after_the_end_of_the_session_nothing_runs():
    quiet = session(10)
    quiet.wait(6)
    quiet.happen(SessionEnded(requested=True))
    assert quiet.running == []
    quiet.happen(TurnEnded())
    assert quiet.running == []


def test_what_happens_while_the_session_closes_begins_no_new_countdown():
    quiet = session(10)
    quiet.wait(10)
    quiet.happen(TurnEnded())
    quiet.wait(60)
    assert quiet.said == ending(5)


async def test_finish_stops_the_time():
    quiet = session(10)
    await quiet.feature.finish()
    assert quiet.running == []


@pytest.mark.parametrize("timeout_s", [0, -1, math.inf, math.nan])
def test_an_impossible_timeout_is_refused(timeout_s):
    with pytest.raises(ConfigurationError, match="positive number"):
        Inactivity(timeout_s)


async def test_with_the_tasks_of_a_real_session():
    """Timers are tasks there, and the one that hangs up is the feature's own."""

    class Real(Session):
        def call_later(self, delay_s, callback):
            async def wait() -> None:
                await asyncio.sleep(delay_s / 50)
                callback()

            return asyncio.create_task(wait())

        def hang_up(self, reason: str) -> None:
            super().hang_up(reason)
            over.set()

    over = asyncio.Event()
    real = Real(6)
    real.happen(SessionStarted())
    real.happen(SpeechStarted(), SpeechStopped(), ErrorOccurred(message="no answer"))
    await asyncio.wait_for(over.wait(), 5)
    assert [n for _, n in real.said] == [5, 4, 3, 2, 1, "timed out", "inactivity"]
    await asyncio.sleep(0)


async def test_a_real_session_ends_by_itself():
    scenario = '[[turns]]\nsteps = [{ say = "Well?" }]\n'
    async with Simulator(scenario=Scenario.parse(scenario), wires=("openai",), seed=1) as server:
        voice = RealtimeVoice(
            "openai",
            api_key="k",
            base_url=server.openai_url,
            features=[lambda: Inactivity(1.2)],
        )
        async with voice.connect() as session, asyncio.timeout(10):
            stream = session.events()
            await session.send_text("Hello?")
            events = [event async for event in stream]
    kinds = [type(event) for event in events]
    assert kinds.count(InactivityCountdown) == 1
    assert kinds.index(TurnEnded) < kinds.index(InactivityCountdown)
    assert kinds[-3:] == [InactivityTimedOut, ConnectionChanged, SessionEnded]
    assert (events[-1].reason, events[-1].requested) == ("inactivity", True)
