"""What the listener has really heard of each spoken item.

Models speak several times faster than real time, so what was *received* says little about what
was *heard*; only the second may stay in the model's memory after an interruption. All positions
count samples on one timeline: the audio that was written and not cut away again.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

LONGEST_S = 600.0
"""How much may wait to be heard: 29 MB at 24 kHz. Models speak several times faster than people
listen, but not for ten minutes."""
MOST_SPANS = 1_024
"""Changes from one item to another among it."""


class AudioSink(Protocol):
    """Where assistant speech goes: a loudspeaker, a file, a telephone line.

    Called on the event loop, so no method may block.
    """

    def write(self, pcm: bytes) -> None:
        """Queue mono s16le at the session's output rate, to be played after what is queued."""

    def clear(self) -> None:
        """Fall silent at once and drop what is queued.

        When it returns, `played_ms` stands still until the next `write`.
        """

    def played_ms(self) -> float | None:
        """Milliseconds of written audio that reached the listener so far, device latency taken off.

        Never decreases; cleared audio does not count. None if it cannot be known.
        """


@runtime_checkable
class HoldingSink(AudioSink, Protocol):
    """A sink that can stop in the middle of a word and go on from the same sample."""

    @property
    def can_hold(self) -> bool:
        """Whether `hold` works now."""
        ...

    def hold(self) -> None:
        """Fall silent with a fade of a few milliseconds; `played_ms` stands still."""

    def resume(self) -> None:
        """Go on from the sample where it was held; none is lost or repeated.

        `clear` ends a hold, too.
        """


class Cut(NamedTuple):
    """One item that lost audio, in samples of the provider's audio at the ledger's rate."""

    item_id: str
    heard: int
    received: int


@dataclass(slots=True)
class _Span:
    item_id: str
    start: int
    samples: int
    skipped: int
    """Samples before these that the provider sent and nobody was made to hear."""


class Playback:
    """Ledger of received and heard audio, per item.

    The heard position comes from `sink.played_ms()`, or from the application through `report`.
    Where neither is known it is estimated: as if a loudspeaker without latency had played
    everything from the moment it arrived. `estimated` tells which.

    One owner: the session's event loop.
    """

    def __init__(
        self,
        rate: int,
        *,
        sink: AudioSink | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self._sink = sink
        self._clock = clock
        self._spans: deque[_Span] = deque()
        self._end = 0
        self._reported: int | None = None
        self._floor = 0
        self._anchor = (0.0, 0)
        self.skipped_ms = 0.0
        """Audio that was left out on the way to the listener."""

    @property
    def estimated(self) -> bool:
        """True if no sink reports its position, so that `position` follows the clock."""
        return self._measured() is None

    def write(self, item_id: str, pcm: bytes, *, skipped: int = 0) -> None:
        """Pass on a chunk of `item_id` and count it.

        Args:
            item_id: The spoken item.
            pcm: Mono s16le at `rate`.
            skipped: Samples of the item just before `pcm` that were left out; whoever hears `pcm`
                is taken to have heard them.
        """
        samples = len(pcm) // 2
        span = self._spans[-1] if self._spans else None
        if span is None or span.item_id != item_id or skipped:
            position = self.position
            while self._spans and self._spans[0].start + self._spans[0].samples <= position:
                self._spans.popleft()
            span = _Span(item_id, self._end, 0, skipped)
            self._spans.append(span)
            self.skipped_ms += skipped * 1000 / self.rate
        if self._estimate() >= self._end:
            self._anchor = (self._clock(), self._end)
        span.samples += samples
        self._end += samples
        if self._sink is not None:
            self._sink.write(pcm)

    def report(self, played_ms: float) -> None:
        """Say how much was played, for applications that play the audio themselves.

        Args:
            played_ms: Milliseconds of assistant audio that reached the listener since the
                session began. Late or repeated reports do no harm.
        """
        self._reported = max(self._reported or 0, self._samples(played_ms))

    @property
    def position(self) -> int:
        """Samples heard so far; never more than were received."""
        measured = self._measured()
        heard = self._estimate() if measured is None else measured
        self._floor = min(max(heard, self._floor), self._end)
        return self._floor

    @property
    def pending_ms(self) -> float:
        """How much is still to be heard."""
        return (self._end - self.position) * 1000 / self.rate

    @property
    def is_full(self) -> bool:
        """Whether more waits to be heard than anybody would listen to."""
        if len(self._spans) > MOST_SPANS:
            return True
        limit = round(LONGEST_S * self.rate)
        return self._end - self._floor > limit and self._end - self.position > limit

    @property
    def audible(self) -> tuple[str, ...]:
        """Items of which something is still to be heard."""
        position = self.position
        ends = (s.item_id for s in self._spans if s.start + s.samples > position)
        return tuple(dict.fromkeys(ends))

    def progress(self, item_id: str) -> tuple[int, int] | None:
        """Samples of `item_id` that were heard and received; None before it and after its end."""
        position = self.position
        spans = [s for s in self._spans if s.item_id == item_id]
        if not spans or spans[-1].start + spans[-1].samples <= position:
            return None
        return sum(_heard(s, position) for s in spans), sum(s.skipped + s.samples for s in spans)

    @property
    def can_hold(self) -> bool:
        """Whether the sink can pause and go on without losing a sample."""
        return isinstance(self._sink, HoldingSink) and self._sink.can_hold

    def hold(self) -> None:
        """Pause the sink; only if `can_hold`."""
        if isinstance(self._sink, HoldingSink):
            self._sink.hold()

    def resume(self) -> None:
        """Let a held sink go on."""
        if isinstance(self._sink, HoldingSink):
            self._sink.resume()

    def cut(
        self, held: Mapping[str, int] | None = None, also: Collection[str] = ()
    ) -> tuple[Cut, ...]:
        """Silence the sink and forget what was not heard; the items that lost audio, in order.

        Args:
            held: Samples by item that were received after all that was written, and kept back.
            also: Items that are given although all of them was heard.
        """
        if self._sink is not None:
            self._sink.clear()
        position = self.position
        received: dict[str, int] = {}
        heard: dict[str, int] = {}
        for span in self._spans:
            whole = span.skipped + span.samples
            received[span.item_id] = received.get(span.item_id, 0) + whole
            heard[span.item_id] = heard.get(span.item_id, 0) + _heard(span, position)
        for item_id, samples in (held or {}).items():
            received[item_id] = received.get(item_id, 0) + samples
            heard.setdefault(item_id, 0)
        self._spans.clear()
        self._end = position
        return tuple(
            Cut(item_id, heard[item_id], total)
            for item_id, total in received.items()
            if heard[item_id] < total or item_id in also
        )

    def _measured(self) -> int | None:
        if self._reported is not None:
            return self._reported
        played = self._sink.played_ms() if self._sink is not None else None
        return None if played is None else self._samples(played)

    def _estimate(self) -> int:
        since, start = self._anchor
        return min(start + round((self._clock() - since) * self.rate), self._end)

    def _samples(self, ms: float) -> int:
        return round(ms * self.rate / 1000)


def _heard(span: _Span, position: int) -> int:
    played = min(position - span.start, span.samples)
    return span.skipped + played if played > 0 else 0
