"""One conversation by seed: a voice, tools that count, a provider to which anything may happen."""

import asyncio
import gc
import logging
import os
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from realtime_facade import (
    AudioChunk,
    Event,
    Inject,
    RawEvent,
    RealtimeConfig,
    RealtimeConnectionError,
    RealtimeVoice,
    SeedMessage,
    Session,
    SessionEnded,
    ToolContext,
    TurnEnded,
    UsageUpdated,
)
from realtime_facade.audio.resample import resample
from realtime_facade.conversation import ConversationHistory
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.chaos import Chaos
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.record import ConnectionRecord
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

DEADLINE_S = 40.0
"""For a whole conversation; they usually take less than one."""
PATIENCE_S = 12.0
"""For one answer: several times the watchdog's patience."""
STALL_S = 2.0
"""The watchdog's; longer than `utterance`, which is sent at once and counts as so much time."""
INTERRUPTED_S = 0.3
"""For the end of an answer that was interrupted, perhaps before it began."""
FASTER = 40
"""The simulator's clock: stalls and outages of seconds pass in a fraction of one."""
CALM_AFTER = 4
"""Sessions; in later ones nothing goes wrong, so every conversation can end well."""
MODELS = [
    ("openai", "gpt-realtime-2.1"),
    ("gemini", "gemini-3.8-live"),
    ("gemini", "gemini-2.5-flash-native-audio-preview-12-2025"),
]
FAREWELL = "Goodbye then."
REFUSAL = "this cannot be done"


@dataclass
class Report:
    """What came of a conversation."""

    seed: int
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sessions: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """What happened, by kind."""
    trace: list[str] = field(default_factory=list)
    """What was done and told, line by line."""

    def __str__(self) -> str:
        return f"seed {self.seed}: {'; '.join(self.problems) or 'fine'}"


class Ear:
    """A listener who hears everything at once."""

    def __init__(self) -> None:
        self._bytes = 0

    def write(self, pcm: bytes) -> None:
        self._bytes += len(pcm)

    def clear(self) -> None:
        """Nothing waits."""

    def played_ms(self) -> float:
        return self._bytes / 48


class Counting:
    """Tools whose effects can be counted."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.calls: Counter[str] = Counter()
        self.tasks: defaultdict[int, list[str]] = defaultdict(list)
        """Which calls did them."""

    async def do(self, task: int, context: Inject[ToolContext]) -> str:
        """Do a task.

        Args:
            task: Its number.
        """
        self._happen(task, context)
        await asyncio.sleep(self._dice.choice((0, 0.005, 0.05, 0.15)))
        if self._dice.random() < 0.1:
            raise ValueError(REFUSAL)
        return f"task {task} is done"

    def do_slowly(self, task: int, context: Inject[ToolContext]) -> str:
        """Do a task in a thread.

        Args:
            task: Its number.
        """
        self._happen(task, context)
        return f"task {task} is done"

    def _happen(self, task: int, context: ToolContext) -> None:
        self.calls[context.call_id] += 1
        self.tasks[task].append(context.call_id)


def _scenario(turns: int) -> Scenario:
    """Every request has its own numbers, so that a task that is done twice is found."""
    text = f"""
        otherwise = "What?"
        [[turns]]
        when = "farewell"
        steps = [{{ say = "{FAREWELL}" }}]
    """
    # An utterance for every turn and more: one that nobody understands has no words to answer.
    text += (
        3
        * turns
        * """
        [[turns]]
        heard = "tell me a story"
        when = "story"
        steps = [{ say = "Once there was a fox, and then there was another one." }]
    """
    )
    for turn in range(turns):
        one, two = 2 * turn, 2 * turn + 1
        text += f"""
            [[turns]]
            when = "single {turn}$"
            steps = [{{ call = "do", arguments = {{ task = {one} }} }}, {{ say = "{{output}}" }}]
            [[turns]]
            when = "double {turn}$"
            steps = [
              {{ say = "Two." }},
              {{ call = "do", arguments = {{ task = {one} }} }},
              {{ call = "do_slowly", arguments = {{ task = {two} }} }},
              {{ say = "Both: {{output}}" }},
            ]
        """
    return Scenario.parse(text)


class Talk:
    """What the user does, and what is asked of it afterwards."""

    def __init__(self, seed: int, speech: bytes, report: Report) -> None:
        self._dice = random.Random(f"talk {seed}")
        self._speech = speech
        self._report = report
        self._turns = self._dice.randint(2, 4)
        self._tools = Counting(self._dice)
        self._sessions: list[Session] = []

    async def hold(self, seed: int) -> None:
        """Talk until everything was said; problems go into the report."""
        wire, model = self._dice.choice(MODELS)
        simulator = Simulator(
            scenario=_scenario(self._turns),
            wires=("openai",) if wire == "openai" else ("gemini",),
            speed=self._dice.choice((0, 1, 4)),
            chunk_ms=200,
            clock=ScaledClock(FASTER),
            seed=seed,
            chaos=Chaos(seed, calm_after=CALM_AFTER),
        )
        async with simulator:
            voice = RealtimeVoice(
                wire,
                RealtimeConfig(
                    model=model,
                    tools=[self._tools.do, self._tools.do_slowly],
                    setup_timeout_s=1.0,
                    stall_timeout_s=STALL_S,
                    reconnect_budget_s=15.0,
                ),
                api_key="any",
                base_url=(simulator.openai_url if wire == "openai" else simulator.gemini_plain_url),
                sink=Ear(),
            )
            session = await self._connect(voice)
            session.on(Event, self._trace)
            async with session:
                await self._converse(session)
            self._check_history(session)
        self._report.sessions = simulator.sessions_started
        self._report.faults.update(
            fault.kind for record in simulator.connections for fault in record.faults
        )
        self._report.faults.update("refuse" for _ in simulator.refused)
        if simulator.sessions_open:
            self._problem(f"{simulator.sessions_open} sessions are still open")
        self._report.trace += [str(record) for record in simulator.connections]
        self._check_tools(simulator.connections)

    async def _connect(self, voice: RealtimeVoice) -> Session:
        """The first connection is the application's to try again."""
        while True:
            try:
                return await voice.connect()
            except RealtimeConnectionError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.02)

    async def _converse(self, session: Session) -> None:
        events = session.events()
        for turn in range(self._turns):
            kind = self._dice.choice(("single", "double", "story", "speech", "interrupted"))
            task = kind if kind in ("single", "double") else self._dice.choice(("single", ""))
            if kind == "speech":
                await self._speak(session)
            elif kind == "story" or not task:
                await self._write(session, "a story please")
            else:
                await self._write(session, f"{task} {turn}")
            if kind == "interrupted":
                await asyncio.sleep(self._dice.uniform(0, 0.05))
                await session.interrupt()
                self._report.trace.append("> stop")
                # Who speaks before it is quiet gets two answers at once, which is another test.
                await self._answered(events, INTERRUPTED_S)
            elif not await self._answered(events):
                return
            # A mind that reads its scenario by the user's last words would call again.
            await self._settled(session)
        await self._write(session, "farewell")
        while not self._said_goodbye(session):
            if not await self._answered(events):
                return
        await self._settled(session)

    def _said_goodbye(self, session: Session) -> bool:
        # Not `turns`: one whose words never come hides a few that follow it.
        said = [i for i in session.history.as_past() if isinstance(i, SeedMessage)]
        return any("Goodbye" in item.text for item in said[-3:])

    async def _settled(self, session: Session) -> None:
        """Wait for tools that still run."""
        for _ in range(200):
            if all(part.output is not None for part in session.history.tool_rounds):
                return
            await asyncio.sleep(0.01)

    async def _write(self, session: Session, text: str) -> None:
        delivery = await session.send_text(text)
        self._report.trace.append(f"> {text} ({delivery})")

    def _trace(self, event: Event) -> None:
        if not isinstance(event, AudioChunk | RawEvent | UsageUpdated):
            self._report.trace.append(f"{monotonic():.3f} {event!r}"[:240])

    async def _speak(self, session: Session) -> None:
        self._report.trace.append("> speech")
        for start in range(0, len(self._speech), 4800):
            await session.send_audio(self._speech[start : start + 4800])

    async def _answered(self, events: Any, patience_s: float | None = None) -> bool:
        """Whether a turn ended in time; that it did not is a problem, unless one may be missing."""
        try:
            async with asyncio.timeout(patience_s or PATIENCE_S):
                async for event in events:
                    if isinstance(event, TurnEnded):
                        return True
                    if isinstance(event, SessionEnded):
                        self._problem(f"the session ended: {event.code} {event.reason}")
                        return False
        except TimeoutError:
            if patience_s is None:
                self._problem(f"no answer within {PATIENCE_S:g} s")
        return False

    def _check_history(self, session: Session) -> None:
        history = session.history
        ids = Counter(part.call_id for part in history.tool_rounds)
        if repeated := [name for name, times in ids.items() if times > 1]:
            self._problem(f"calls twice in the history: {repeated}")
        if open_calls := [part.call_id for part in history.tool_rounds if part.output is None]:
            self._problem(f"calls without an output in the history: {open_calls}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.json"
            history.save(path)
            if ConversationHistory.load(path).format() != history.format():
                self._problem("the history is another after it was saved")

    def _check_tools(self, records: Iterable[ConnectionRecord]) -> None:
        if repeated := [name for name, times in self._tools.calls.items() if times > 1]:
            self._problem(f"calls done twice: {repeated}")
        asked_in = {made.call_id: record.number for record in records for made in record.calls}
        for task, calls in self._tools.tasks.items():
            # Twice in one session is the mind's own doing; in two, the second was not told.
            if len({asked_in.get(call) for call in calls}) > 1:
                self._problem(f"task {task} done twice, by calls {calls}")
        for record in records:
            told = Counter(output.call_id for output in record.outputs)
            if repeated := [name for name, times in told.items() if times > 1]:
                self._problem(f"session {record.number} was told twice of {repeated}")

    def _problem(self, text: str) -> None:
        self._report.problems.append(text)


class _Errors(logging.Handler):
    """What is logged as an error must not happen, whatever the provider does."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if REFUSAL not in text:  # which a tool says on purpose
            self.texts.append(text[-600:])


async def talk(seed: int, speech: bytes, deadline_s: float) -> Report:
    """Hold one conversation; never raises because of what happens in it."""
    report = Report(seed)
    start = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(deadline_s):
            await Talk(seed, speech, report).hold(seed)
    except TimeoutError:
        report.problems.append(f"not over after {deadline_s:g} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this seed
        report.problems.append(f"{type(error).__name__}: {error}")
    report.seconds = asyncio.get_running_loop().time() - start
    return report


async def utterance() -> bytes:
    """What the user says: 24 kHz, with silence around it."""
    voice = BabbleVoice("user")
    pcm = b"".join([chunk async for chunk in voice.speak("tell me")])
    pcm = resample(pcm, voice.sample_rate, 24_000)
    return bytes(9_600) + pcm + bytes(36_000)


def sockets() -> int:
    """How many this process has open; 0 where that cannot be known."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    found = 0
    for link in folder.iterdir():
        try:
            found += os.readlink(link).startswith("socket:")
        except OSError:  # the one that lists the folder
            continue
    return found


@contextmanager
def _watched_logs() -> Iterator[_Errors]:
    errors, logger = _Errors(), logging.getLogger()
    logger.addHandler(errors)
    try:
        yield errors
    finally:
        logger.removeHandler(errors)


async def talks(seeds: list[int], at_once: int, deadline_s: float) -> list[Report]:
    """Hold conversations, some at a time; what they leave behind is a problem of all of them."""
    speech = await utterance()
    room = asyncio.Semaphore(at_once)
    unhandled: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(str(context)[:600]))
    before = sockets()

    async def one(seed: int) -> Report:
        async with room:
            return await talk(seed, speech, deadline_s)

    with _watched_logs() as errors:
        reports = list(await asyncio.gather(*map(one, seeds)))
        await asyncio.sleep(0.05)
        gc.collect()
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    problems = [f"left running: {task!r}"[:300] for task in left]
    problems += [f"logged: {text}" for text in errors.texts]
    problems += [f"unhandled: {text}" for text in unhandled]
    if sockets() > before:
        problems.append(f"{sockets() - before} sockets are left open")
    if problems:
        of = f"of {seeds[0]} to {seeds[-1]}: " if len(seeds) > 1 else ""
        reports[0].problems += [of + problem for problem in problems]
    return reports
