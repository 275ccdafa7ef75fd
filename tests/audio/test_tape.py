"""A tape gives out what a plain list of heard samples holds, whatever happens in which order."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime_facade.audio.playback import Playback
from realtime_facade.audio.tape import HeardTape

RATE = 1000  # one sample is one millisecond


class Sink:
    """A loudspeaker that plays when it is told to."""

    def __init__(self) -> None:
        self.played = 0.0

    def write(self, pcm: bytes) -> None: ...

    def clear(self) -> None: ...

    def played_ms(self) -> float | None:
        return self.played


class Speaker:
    """An assistant whose every sample is another number, and a tape of it."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.playback = Playback(RATE, sink=self.sink)
        self.tape = HeardTape(self.playback)
        self._next = 1

    def say(self, count: int, item: str = "a") -> list[int]:
        numbers = [(self._next + i) % 30_000 for i in range(count)]
        self._next += count
        pcm = b"".join(n.to_bytes(2, "little") for n in numbers)
        self.playback.write(item, pcm)
        self.tape.write(pcm)
        return numbers

    def take(self) -> list[int]:
        pcm = self.tape.take()
        return [int.from_bytes(pcm[i : i + 2], "little") for i in range(0, len(pcm), 2)]

    def cut(self) -> None:
        self.playback.cut()
        self.tape.cut()


def test_nothing_comes_out_before_it_was_heard():
    speaker = Speaker()
    numbers = speaker.say(100)
    assert speaker.take() == []
    speaker.sink.played = 30.0
    assert speaker.take() == numbers[:30]
    assert speaker.take() == []
    speaker.sink.played = 500.0
    assert speaker.take() == numbers[30:]


def test_what_was_cut_never_comes_out_and_what_was_heard_before_does():
    speaker = Speaker()
    first = speaker.say(100)
    speaker.sink.played = 40.0
    speaker.cut()
    second = speaker.say(50, "b")
    speaker.sink.played = 60.0
    assert speaker.take() == first[:40] + second[:20]


def test_sound_that_was_pending_before_the_tape_began_is_not_on_it():
    speaker = Speaker()
    speaker.say(100)
    speaker.sink.played = 10.0
    speaker.tape = HeardTape(speaker.playback)
    later = speaker.say(20)
    speaker.sink.played = 90.0
    assert speaker.take() == []
    speaker.sink.played = 105.0
    assert speaker.take() == later[:5]


def test_the_tape_holds_no_more_than_is_unheard():
    speaker = Speaker()
    for second in range(100):
        speaker.say(1000)
        speaker.sink.played = second * 1000.0
        speaker.take()
    assert len(speaker.tape._unheard) == 2 * 1000


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.speaker = Speaker()
        self.timeline: list[int] = []
        """What was written and not cut, in order."""
        self.taken: list[int] = []

    @rule(count=st.integers(0, 50), item=st.sampled_from("ab"))
    def say(self, count: int, item: str) -> None:
        self.timeline += self.speaker.say(count, item)

    @rule(count=st.integers(0, 80))
    def play(self, count: int) -> None:
        sink = self.speaker.sink
        sink.played = min(sink.played + count, float(len(self.timeline)))

    @rule()
    def take(self) -> None:
        self.taken += self.speaker.take()
        assert self.taken == self.timeline[: int(self.speaker.sink.played)]

    @rule()
    def cut(self) -> None:
        self.speaker.cut()
        del self.timeline[int(self.speaker.sink.played) :]

    @invariant()
    def holds_what_is_on_the_timeline_and_not_taken(self) -> None:
        assert len(self.speaker.tape._unheard) == 2 * (len(self.timeline) - len(self.taken))


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 0.4)), max_size=20))
def test_an_estimated_position_gives_each_sample_once_too(steps: list[tuple[int, float]]):
    now = 0.0
    playback = Playback(RATE, clock=lambda: now)
    tape = HeardTape(playback)
    written = taken = b""
    for count, seconds in steps:
        pcm = bytes([len(written) % 251]) * 2 * count
        playback.write("a", pcm)
        tape.write(pcm)
        written += pcm
        now += seconds
        taken += tape.take()
        assert taken == written[: 2 * playback.position]
