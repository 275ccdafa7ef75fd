"""What a sound card pulls, and which part of it has left the loudspeaker."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..audio.pcm import samples
from ..audio.resample import resample
from .convert import Converter
from .tape import Samples, Tape


class _Handed(NamedTuple):
    """A block on its way to the ear."""

    sounds_at: float
    first: int
    samples: int


class CardTape:
    """A tape between the event loop, which writes, and the card's thread, which pulls.

    A block that was pulled is heard from the moment on that the card named, at the card's rate;
    so the position is right between two pulls too, and silence never counts.

    Args:
        rate: Hz of what is written.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.ran_out = 0
        self._lock = threading.Lock()
        # Used by the event loop alone: a resampler must never meet two threads.
        self._converter = Converter(rate, rate)
        self._tape = Tape(rate)
        self._handed: deque[_Handed] = deque()
        self._heard = 0.0

    @contextmanager
    def locked(self) -> Iterator[Tape]:
        """The tape, nobody else's for as long; in the card's rate."""
        with self._lock:
            yield self._tape

    def adopt(self, rate: int) -> None:
        """A card is opened at `rate` Hz; what waits is converted to it. No pull may be under way.

        What an earlier card had taken counts as heard.
        """
        with self._lock:
            tape, head = self._tape, self._tape.head
            if rate != tape.rate:
                tape.write(self._converter.flush())
                end, written = self._converter.written, self._converter.source(head)
                waiting = resample(tape.rest(), tape.rate, rate)
                self._converter = Converter(self.rate, rate, out=head, written=written)
                tape.cut(head)
                tape.write(waiting)
                tape.rate = rate
                self._converter.skip(len(waiting) // 2, end - written)
            self._handed.clear()
            self._heard = float(head)

    def write(self, pcm: bytes) -> None:
        """Queue mono s16le at the written rate.

        Raises:
            AudioFormatError: If a sample is incomplete.
        """
        samples(pcm)
        converted = self._converter.push(pcm)
        with self._lock:
            self._tape.write(converted)

    @property
    def withheld(self) -> bool:
        """Whether the conversion keeps something back until the stream goes on or is flushed."""
        return self._converter.withheld_ms > 0

    def flush(self) -> None:
        """Queue what the conversion kept back."""
        converted = self._converter.flush()
        with self._lock:
            self._tape.write(converted)

    def clear(self) -> None:
        """Drop what waits and end a hold.

        What the card has taken cannot be called back: it sounds to its end, a latency later, so it
        counts as heard already.
        """
        with self._lock:
            heard = self._tape.head
            self._handed.clear()
            self._heard = float(heard)
            self._tape.cut(heard)
        self._converter.rewind(heard, self._converter.source(heard))

    def played_ms(self, now: float) -> float:
        """What was heard of what was written, at the time `now`."""
        with self._lock:
            heard = self._position(now)
        return self._converter.source(heard) * 1000 / self.rate

    def waiting_s(self) -> float:
        """How much the card has still to pull."""
        with self._lock:
            return self._tape.waiting / self._tape.rate

    def sounding(self, now: float) -> bool:
        """Whether something is to be heard now, or will be without a `resume`."""
        with self._lock:
            return not self._tape.idle or self._position(now) < self._tape.head

    def pull(self, count: int, now: float, latency_s: float) -> Samples:
        """What the card has to play `latency_s` from `now` on: `count` samples, or fewer.

        The only method that is called from the card's thread.
        """
        with self._lock:
            first = self._tape.head
            data = self._tape.read(count)
            if len(data):
                self._handed.append(_Handed(now + latency_s, first, len(data)))
                self._tape.forget(self._tape.head)
                if len(data) < count and not self._tape.held:
                    self.ran_out += 1
            self._position(now)
            return data

    def _position(self, now: float) -> float:
        handed = self._handed
        while len(handed) > 1 and handed[1].sounds_at <= now:
            handed.popleft()
        if handed:
            block = handed[0]
            passed = min(max((now - block.sounds_at) * self._tape.rate, 0.0), block.samples)
            # Each pull names its own latency, and those jitter: never back.
            self._heard = max(self._heard, block.first + passed)
        return self._heard
