from types import SimpleNamespace

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.events import AudioChunk, EchoMeasured, Interrupted
from realtime_facade.features.echo import WARM_UP_S, EchoControl

RATE = 24_000


class Canceller:
    """Notes what it was given; the test says how well it works."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.far: list[bytes] = []
        self.erle_db: float | None = None

    def process(self, near: bytes, far: bytes) -> bytes:
        self.far.append(far)
        return near[::-1]


class Room:
    """A session with a loudspeaker whose position the test sets."""

    def __init__(self, input_rate: int = RATE) -> None:
        self.position_ms = 0.0
        self.playback = Playback(RATE, sink=self)
        self.events: list[EchoMeasured] = []
        self.shut: list[bool] = []
        self.feature = EchoControl(self.make, self.shut.append)
        self.config = SimpleNamespace(input_rate=input_rate, output_rate=RATE)
        self.emit = self.events.append
        self.feature.attach(self)

    def make(self, rate: int) -> Canceller:
        self.canceller = Canceller(rate)
        return self.canceller

    def write(self, pcm: bytes) -> None: ...

    def clear(self) -> None: ...

    def played_ms(self) -> float:
        return self.position_ms

    def say(self, ms: int) -> None:
        pcm = bytes(48 * ms)
        self.playback.write("item", pcm)
        self.feature.on_event(AudioChunk(data=pcm, item_id="item"))

    def hear(self, until_ms: float) -> bytes:
        self.position_ms = until_ms
        return self.feature.clean(b"ab" * 480)


def test_the_far_end_is_what_was_heard_meanwhile():
    room = Room()
    room.say(100)
    assert room.hear(20) == b"ba" * 480
    room.hear(20)
    room.hear(60)
    assert [len(far) for far in room.canceller.far] == [960, 0, 1920]


def test_what_was_cut_is_no_echo():
    room = Room()
    room.say(100)
    room.position_ms = 30
    room.playback.cut()
    room.feature.on_event(Interrupted())
    room.hear(30)
    room.say(100)
    room.hear(40)
    assert [len(far) for far in room.canceller.far] == [30 * 48, 10 * 48]


def test_the_far_end_has_the_microphones_rate():
    room = Room(input_rate=16_000)
    room.say(1_000)
    for ms in range(20, 1_001, 20):
        room.hear(ms)
    assert room.canceller.rate == 16_000
    assert sum(map(len, room.canceller.far)) == pytest.approx(32_000, abs=700)


def test_until_the_canceller_knows_the_room_nobody_cuts_in():
    room = Room()
    assert room.shut == [True]
    room.say(3_000)
    room.hear(WARM_UP_S * 1000 - 20)
    assert room.shut[-1] is True
    room.hear(WARM_UP_S * 1000 + 20)
    assert room.shut[-1] is False


def test_weak_cancellation_is_half_duplex_until_it_is_better():
    room = Room()
    room.say(9_000)
    room.hear(2_000)
    for erle_db in (6.0, 7.0, 14.0, 15.0, 30.0):
        room.canceller.erle_db = erle_db
        room.hear(3_000)
    assert [(e.erle_db, e.half_duplex) for e in room.events] == [
        (6.0, True),
        (14.0, False),
        (30.0, False),
    ]
    assert room.shut[-3:] == [True, False, False]
