"""Holds a spoken conversation with a provider, question by question, and measures it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..audio.resample import resample
from ..audio.wav import read_wav
from ..config import RealtimeConfig
from ..devices.base import SinkDevice
from ..errors import RealtimeError
from ..events import Event, SessionEnded, TranscriptDelta
from ..features.recording import Recording
from ..providers.base import Provider
from ..session.session import Session
from ..voice import RealtimeVoice
from .ends import Listener, Microphone, Spoken
from .show import LATENCIES, Show
from .story import Story, Turn

RATE = 24_000
ANSWER_TIMEOUT_S = 30.0
CUT_IN_AFTER_S = 1.5
"""How much of an answer is heard before the last bundled question cuts in."""


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"In {city} it is sunny, with 22 degrees."


def set_timer(minutes: int) -> str:
    """Set a timer for some minutes."""
    return (
        f"The timer is set for {minutes} minutes. When they are over I will let you know with a "
        "sound, and you can ask me at any time how much of them is left, or set another one."
    )


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask: mono s16le at `RATE`."""

    name: str
    pcm: bytes
    cuts_in: bool = False
    """Whether it begins while the answer to the question before is still being heard."""


def bundled_questions() -> list[Question]:
    """The recordings that come with the package; the last one cuts in."""
    folder = Path(str(files("realtime_facade.cli") / "questions"))
    paths = sorted(folder.glob("*.wav"))
    return [_read(path, cuts_in=path == paths[-1]) for path in paths]


def read_questions(paths: Sequence[Path]) -> list[Question]:
    """Recordings of the user's own, asked one after the other.

    Raises:
        AudioFormatError: If one is not a PCM WAV file.
    """
    return [_read(path, cuts_in=False) for path in paths]


def _read(path: Path, *, cuts_in: bool) -> Question:
    pcm, rate = read_wav(path)
    return Question(path.name, resample(pcm, rate, RATE), cuts_in)


async def run(
    questions: Sequence[Question],
    provider: Provider,
    *,
    out: Path | None,
    show: Show,
    aloud: bool = False,
) -> dict[str, Any]:
    """Ask the questions in real time and tell `show` what happens.

    Args:
        questions: Asked one after the other.
        provider: Answers.
        out: Where to record the conversation, if anywhere.
        show: Told of everything.
        aloud: Play both sides on the sound card (extra `audio`).

    Returns:
        The summary: `turns`, `tool_calls`, `recording`, `latency_ms`.

    Raises:
        RealtimeError: If the provider falls silent or hangs up, or the recording cannot be written.
    """
    async with contextlib.AsyncExitStack() as stack:
        mouth, ear = await _loudspeakers(stack) if aloud else (None, None)
        return await _run(
            questions, provider, out, show, Listener(RATE, aloud=ear), Microphone(RATE, aloud=mouth)
        )


async def _loudspeakers(stack: contextlib.AsyncExitStack) -> tuple[SinkDevice, SinkDevice]:
    """One for each side of the conversation; the first is started."""
    from ..devices.soundcard import Speaker

    mouth, ear = Speaker(), Speaker()
    stack.push_async_callback(mouth.stop)
    await mouth.start()
    return mouth, ear


async def _run(
    questions: Sequence[Question],
    provider: Provider,
    out: Path | None,
    show: Show,
    listener: Listener,
    microphone: Microphone,
) -> dict[str, Any]:
    recording = Recording(out) if out is not None else None
    voice = RealtimeVoice(
        provider,
        RealtimeConfig(tools=(get_weather, set_timer), reconnect_budget_s=3),
        sink=listener,
        features=[lambda: recording] if recording is not None else [],
    )
    show.note(f"Asking {', '.join(question.name for question in questions)}, in real time.")
    await listener.start()
    try:
        async with voice.connect() as session:
            talk = Conversation(session, microphone, listener, show)
            await talk.hold(questions)
    finally:
        await listener.stop()
    if recording is not None and recording.error is not None:
        raise recording.error
    summary = talk.story.summary() | {
        "recording": str(out) if out is not None else None,
        "latency_ms": talk.latencies | {"tool": talk.story.tool_ms},
    }
    show.summary(summary)
    return summary


class Conversation:
    """Asks questions on a session, one after the other, and measures how soon it reacts."""

    def __init__(
        self, session: Session, microphone: Microphone, listener: Listener, show: Show
    ) -> None:
        self.story = Story()
        self.latencies: dict[str, list[float]] = {name: [] for name in LATENCIES}
        self._session = session
        self._microphone = microphone
        self._listener = listener
        self._show = show
        self._changed = asyncio.Condition()
        self._understood: float | None = None

    async def hold(self, questions: Sequence[Question]) -> None:
        """Ask all questions; returns when the last answer was heard.

        Raises:
            RealtimeError: If there is no answer, or the session ends.
        """
        events = self._session.events()
        await _first_of(
            self._ask_all(questions),
            self._send(self._microphone.frames()),
            self._follow(events),
        )

    async def _ask_all(self, questions: Sequence[Question]) -> None:
        for number, question in enumerate(questions):
            turn, spoken = await self._ask(question)
            await self._until(lambda: self._listener.first_heard is not None, question)
            self._measure(spoken)
            if any(following.cuts_in for following in questions[number + 1 : number + 2]):
                await asyncio.sleep(CUT_IN_AFTER_S)
            else:
                await self._hear_out(turn, question)

    async def _hear_out(self, turn: Turn, question: Question) -> None:
        await self._until(lambda: turn.answered, question)
        await asyncio.sleep(self._session.playback.pending_ms / 1000)

    async def _ask(self, question: Question) -> tuple[Turn, Spoken]:
        self._understood = None
        answering = self._session.playback.pending_ms > 0
        self._listener.expect()
        turn = self.story.begin_turn()
        spoken = await self._microphone.say(question.pcm)
        if answering and self._listener.silenced is not None:
            self._note("speech_start_to_silence", self._listener.silenced - spoken.started)
        return turn, spoken

    def _measure(self, spoken: Spoken) -> None:
        assert self._listener.first_heard is not None  # noqa: S101 - the caller waited for it
        self._note("speech_end_to_first_audio", self._listener.first_heard - spoken.ended)
        if self._understood is not None:
            self._note("speech_end_to_transcript", self._understood - spoken.ended)

    def _note(self, latency: str, seconds: float) -> None:
        self.latencies[latency].append(round(seconds * 1000, 1))

    async def _until(self, condition: Callable[[], bool], question: Question) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await self._changed.wait_for(condition)
            except TimeoutError:
                raise RealtimeError(
                    f"no answer to {question.name} within {ANSWER_TIMEOUT_S:g} s",
                    provider=self._session.provider,
                    cause="application",
                    advice="is there speech in it, and is it English?",
                ) from None

    async def _send(self, frames: AsyncIterator[bytes]) -> None:
        async for frame in frames:
            self._session.send_audio(frame)

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            self._show.event(event)
            match event:
                case TranscriptDelta(speaker="user", is_final=True):
                    self._understood = time.monotonic()
                case SessionEnded():
                    raise RealtimeError(f"the session ended: {event.reason}", cause=event.cause)
            async with self._changed:
                self.story.on_event(event)
                self._changed.notify_all()


async def _first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, end the others, and raise what it raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
