"""Where the model's memory ends after an interruption, against a listener who keeps a tape."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import DeleteItem, TruncateOutput
from realtime_facade.devices.null import NullSpeaker
from realtime_facade.events import Interrupted
from realtime_facade.providers.base import Profile
from realtime_facade.session.barge_in import interrupt
from realtime_facade.session.state import Conversation

RATE = 24_000
PROFILE = Profile(provider="p", model="m", supports_truncation=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class KeepingSpeaker(NullSpeaker):
    """A loudspeaker with a listener who writes down which items sounded, sample by sample."""

    def __init__(self, clock: Clock, latency_ms: float) -> None:
        super().__init__(rate=RATE, latency_ms=latency_ms, clock=clock)
        self.heard: list[np.ndarray] = []

    def _sound(self, heard) -> None:
        self.heard.append(np.asarray(heard).copy())

    def samples_of(self, mark: int) -> int:
        return sum(int((h == mark).sum()) for h in self.heard)


async def listen(latency_ms: float) -> tuple[Clock, KeepingSpeaker, Playback]:
    clock = Clock()
    speaker = KeepingSpeaker(clock, latency_ms)
    await speaker.start()
    return clock, speaker, Playback(RATE, sink=speaker, clock=clock)


def say(playback: Playback, mark: int, ms: float) -> None:
    playback.write(f"item-{mark}", np.full(int(ms * RATE / 1000), mark, "<i2").tobytes())


def cut(playback: Playback) -> tuple[Interrupted, dict[str, int]]:
    """The event, and what the provider is told: milliseconds kept by item."""
    done = interrupt(
        playback, Conversation(answers_speech=True), PROFILE, reason="speech", cancel=False
    )
    assert done is not None
    commands, (event, *_) = done
    assert isinstance(event, Interrupted)
    kept = {}
    for command in commands:
        assert isinstance(command, TruncateOutput | DeleteItem)
        kept[command.item_id] = getattr(command, "audio_end_ms", 0)
    return event, kept


@pytest.mark.parametrize("latency_ms", [0, 50, 250, 500])
@pytest.mark.parametrize("stall_ms", [0, 300])
async def test_two_seconds_into_an_answer_of_five(latency_ms, stall_ms):
    clock, speaker, playback = await listen(latency_ms)
    for number in range(13):
        # 400 ms chunks at six times real time; the network stalls once.
        at = number * 0.4 / 6 + (stall_ms / 1000 if number > 5 else 0)
        clock.now = 1000 + at
        say(playback, 7, min(400, 5000 - 400 * number))
    clock.now = 1002.0
    event, kept = cut(playback)
    truth_ms = speaker.samples_of(7) * 1000 / RATE
    assert kept["item-7"] == pytest.approx(truth_ms, abs=1)
    assert event.heard_ms == kept["item-7"] <= event.items[0].received_ms == 5000
    assert not event.estimated


@pytest.mark.parametrize("latency_ms", [0, 50, 250, 500])
async def test_an_answer_of_two_items(latency_ms):
    clock, speaker, playback = await listen(latency_ms)
    say(playback, 1, 1_200)
    say(playback, 2, 3_800)
    clock.now += 2.0
    _, kept = cut(playback)
    assert kept == {"item-2": pytest.approx(speaker.samples_of(2) * 1000 / RATE, abs=1)}
    assert speaker.samples_of(1) == 1_200 * RATE // 1000


async def test_before_the_first_sound_everything_is_deleted():
    clock, speaker, playback = await listen(500)
    say(playback, 1, 1_000)
    clock.now += 0.4
    event, kept = cut(playback)
    assert (kept, event.item_id, speaker.samples_of(1)) == ({"item-1": 0}, None, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    latency_ms=st.integers(0, 600),
    chunks=st.lists(
        st.tuples(st.integers(0, 700), st.integers(1, 900), st.booleans()), min_size=1, max_size=12
    ),
    speech_ms=st.integers(0, 6_000),
    again_ms=st.integers(0, 3_000),
)
async def test_any_timing_agrees_with_the_listener(latency_ms, chunks, speech_ms, again_ms):
    """Chunks after random gaps, in one or more items; then a cut, another answer, another cut."""
    clock, speaker, playback = await listen(latency_ms)
    mark = 1
    for wait_ms in (speech_ms, again_ms):
        sent: dict[int, int] = {}
        for gap_ms, ms, new_item in chunks:
            clock.now += gap_ms / 1000
            mark += new_item
            say(playback, mark, ms)
            sent[mark] = sent.get(mark, 0) + int(ms * RATE / 1000)
        clock.now += wait_ms / 1000
        if playback.pending_ms:
            _, kept = cut(playback)
            for number, samples in sent.items():
                heard = speaker.samples_of(number)
                if f"item-{number}" in kept:
                    assert kept[f"item-{number}"] == heard * 1000 // RATE
                    assert heard < samples
                else:
                    assert heard == samples
        mark += 1
