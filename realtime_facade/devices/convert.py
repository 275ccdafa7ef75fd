"""Another sample rate for what is played, and the way back from heard to written samples."""

from collections import deque
from typing import NamedTuple

from ..audio.resample import Resampler


class _Anchor(NamedTuple):
    out: int
    written: int


class Converter:
    """A resampler that knows which written sample a converted one stands for.

    Both timelines count samples. A stream that is flushed gives a rounded number of them, so from
    there on the way back has a new start; without that the roundings would add up.

    Args:
        from_rate: Hz of what is pushed, 8 000 to 192 000.
        to_rate: Hz of what comes out.
        out: Where the converted timeline begins.
        written: Where the written timeline begins.

    Raises:
        AudioFormatError: If a rate is out of range.
    """

    def __init__(self, from_rate: int, to_rate: int, *, out: int = 0, written: int = 0) -> None:
        self._resampler = Resampler(from_rate, to_rate)
        self.from_rate = from_rate
        self.to_rate = to_rate
        self.rewind(out, written)

    @property
    def withheld_ms(self) -> float:
        """How much was pushed and has not come out."""
        return self._resampler.delay_ms

    def push(self, pcm: bytes) -> bytes:
        """Convert mono s16le as far as it is ready."""
        self.written += len(pcm) // 2
        return self._counted(self._resampler.push(pcm))

    def flush(self) -> bytes:
        """What was withheld; the next push begins a new stream."""
        rest = self._counted(self._resampler.flush())
        self._anchors.append(_Anchor(self.out, self.written))
        return rest

    def skip(self, out: int, written: int) -> None:
        """Count `out` samples that stand for `written` ones and were converted elsewhere."""
        self.out += out
        self.written += written
        self._anchors.append(_Anchor(self.out, self.written))

    def rewind(self, out: int, written: int) -> None:
        """Forget what was pushed; both timelines go on from here."""
        self._resampler.reset()
        self.out = out
        """Samples that came out."""
        self.written = written
        """Samples that were pushed."""
        self._anchors = deque([_Anchor(out, written)])

    def source(self, out: float) -> int:
        """The whole written samples before the position `out`.

        Positions asked for never decrease between two rewinds.
        """
        while len(self._anchors) > 1 and self._anchors[1].out <= out:
            self._anchors.popleft()
        start = self._anchors[0]
        end = self._anchors[1].written if len(self._anchors) > 1 else self.written
        ratio = self.from_rate / self.to_rate
        # The addition undoes what floats lose, which would cost a whole sample.
        passed = int(max(out - start.out, 0) * ratio + 1e-6)
        return min(start.written + passed, end)

    def _counted(self, pcm: bytes) -> bytes:
        self.out += len(pcm) // 2
        return pcm
