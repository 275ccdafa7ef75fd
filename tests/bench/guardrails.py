"""How much later the listener hears an answer whose words are read before they sound.

    python tests/bench/guardrails.py

Answers of up to 15 s in hold mode, generated at 3, 6 and 9 times real time, with guardrails that
take 0, 50 and 300 ms: over sockets with the simulator of both providers, and 200 random answers
over memory whose transcripts are between 0.5 s behind and 3 s ahead of their sound.

Held: from the arrival of a chunk to its release. First: how much later the first sound is heard.
Later: the same for every chunk, as a loudspeaker plays it: sound that waits while earlier sound
still plays costs the listener nothing. Milliseconds; first and later as median / 95 %.
"""

import asyncio
import importlib.util
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from realtime_facade import RealtimeConfig, RealtimeVoice
from realtime_facade.audio.playback import Playback
from realtime_facade.events import AudioChunk, Event, TranscriptDelta
from realtime_facade.features.guardrails import Guardrails
from realtime_facade.features.history import History
from realtime_facade.guardrails import Guardrail, output_guardrail
from realtime_facade.session.engine import Engine
from realtime_facade.session.event_bus import EventBus
from realtime_facade.session.hold import Hold
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

RATE = 24_000
SPEEDS = (3.0, 6.0, 9.0)
READING_MS = (0, 50, 300)
ANSWERS = 5
"""Over sockets, for each pair of the above and each provider."""
RANDOM_ANSWERS = 200
SENTENCE = "The evening is quiet, and there are many things to say about it. "


class Watch:
    """A loudspeaker that notes when each chunk came, and when it was let go."""

    def __init__(self) -> None:
        self.arrived: list[float] = []
        self.released: list[float] = []
        self.seconds: list[float] = []

    def write(self, pcm: bytes) -> None:
        self.released.append(time.perf_counter())
        self.seconds.append(len(pcm) / 2 / RATE)

    def clear(self) -> None:
        """Nothing is cut here."""

    def played_ms(self) -> float | None:
        return None

    def figures(self) -> tuple[list[float], float, list[float]]:
        """Held, first and later, in ms."""
        arrived = self.arrived[: len(self.released)]
        held = [(r - a) * 1000 for a, r in zip(arrived, self.released, strict=True)]
        without, with_ = self._heard(arrived), self._heard(self.released)
        later = [(b - a) * 1000 for a, b in zip(without, with_, strict=True)]
        return held, later[0], later

    def _heard(self, given: Sequence[float]) -> list[float]:
        """When each chunk begins to sound."""
        starts: list[float] = []
        end = 0.0
        for at, seconds in zip(given, self.seconds, strict=True):
            starts.append(max(at, end))
            end = starts[-1] + seconds
        return starts


def note_arrivals(hold: Hold, watch: Watch) -> None:
    take = hold.sound

    def noted(chunk: AudioChunk) -> None:
        if chunk.data:
            watch.arrived.append(time.perf_counter())
        take(chunk)

    hold.sound = noted


def guardrail(reading_ms: float) -> Guardrail:
    async def reads(text: str) -> bool:
        await asyncio.sleep(reading_ms / 1000)
        return "forbidden" in text

    def reads_at_once(text: str) -> bool:
        return "forbidden" in text

    return output_guardrail(mode="hold")(reads if reading_ms else reads_at_once)


# -- over sockets ---------------------------------------------------------------------------------


async def over_sockets(wire: str, speed: float, reading_ms: float) -> list[Watch]:
    turns = f'[[turns]]\nsteps = [{{ say = "{SENTENCE * 2}" }}]\n'
    watches: list[Watch] = []
    async with Simulator(
        scenario=Scenario.parse(turns), wires=(wire,), seed=1, speed=speed
    ) as server:
        url = server.openai_url if wire == "openai" else server.gemini_plain_url
        for _ in range(ANSWERS):
            watch = Watch()
            voice = RealtimeVoice(
                wire,
                api_key="test",
                base_url=url,
                sink=watch,
                guardrails=[guardrail(reading_ms)],
            )
            async with voice.connect() as session:
                hold = session._engine._hold
                assert hold is not None
                note_arrivals(hold, watch)
                events = session.events()
                await session.send_text("Go on")
                await whole(events)
            watches.append(watch)
    return watches


async def whole(events: object) -> None:
    """Until both sound and words of an answer have ended."""
    over: set[type[Event]] = set()
    async for event in events:
        if isinstance(event, AudioChunk | TranscriptDelta) and event.is_final:
            over.add(type(event))
            if len(over) == 2:
                return


# -- random answers over memory -------------------------------------------------------------------


def test_module(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "session" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


async def random_answer(conftest: ModuleType, runs: ModuleType, seed: int) -> Watch:
    rng = random.Random(seed)
    answer = runs.answer(rng, forbidden=False)
    speed, reading_ms = rng.choice(SPEEDS), rng.choice(READING_MS)
    watch = Watch()
    config = RealtimeConfig(max_hold_ms=60_000)
    history = History()
    guard = Guardrails([guardrail(reading_ms)], config, history.conversation)
    assert guard.hold is not None
    note_arrivals(guard.hold, watch)
    provider = conftest.PlainProvider(conftest.Profile(provider="plain", model="test"))
    engine = Engine(
        providers=[provider],
        dial=provider.dial,
        config=config,
        playback=Playback(RATE, sink=watch),
        bus=EventBus(),
        observers=[history, guard],
        history=history.conversation,
        hold=guard.hold,
    )
    await engine.begin()
    subscription = engine.bus.open(Event)
    began, sounded_s = time.perf_counter(), 0.0
    for event in answer.events:
        if isinstance(event, AudioChunk):
            sounded_s += event.duration_ms / 1000
            await asyncio.sleep(began + sounded_s / speed - time.perf_counter())
        await provider.servers[-1].send(event.model_dump_json())

    async def events():
        while (event := await subscription.mailbox.get()) is not None:
            yield event

    await whole(events())
    await engine.close()
    return watch


async def random_answers() -> list[Watch]:
    conftest, runs = test_module("conftest"), test_module("test_forbidden_words")
    watches: list[Watch] = []
    for first in range(0, RANDOM_ANSWERS, 20):
        seeds = range(first, first + 20)
        watches += await asyncio.gather(*(random_answer(conftest, runs, s) for s in seeds))
    return watches


# -- figures --------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(round(share * len(values)), len(values) - 1)]


def report(name: str, watches: Sequence[Watch]) -> None:
    held: list[float] = []
    first: list[float] = []
    later: list[float] = []
    for watch in watches:
        of_chunks, of_first, of_heard = watch.figures()
        held += of_chunks
        first.append(of_first)
        later += of_heard
    cells = [
        f"{statistics.median(values):5.0f} / {percentile(values, 0.95):5.0f}"
        for values in (held, first, later)
    ]
    print(f"{name:32} {'   '.join(cells)}   {max(later):5.0f}", flush=True)  # noqa: T201


async def main() -> None:
    print(f"{'median / 95 %, ms':32}  held           first           later        most")  # noqa: T201
    for wire in ("openai", "gemini"):
        for speed in SPEEDS:
            for reading_ms in READING_MS:
                watches = await over_sockets(wire, speed, reading_ms)
                report(f"{wire} {speed:g}x, reading {reading_ms} ms", watches)
    report(f"{RANDOM_ANSWERS} random answers, all of these", await random_answers())


if __name__ == "__main__":
    asyncio.run(main())
