"""Another sample rate for live speech: what comes out does not depend on how it was cut up."""

import numpy as np
import soxr  # type: ignore[import-untyped]

from ..errors import AudioFormatError
from .pcm import SAMPLE_BYTES, to_s16

MIN_RATE = 8_000
MAX_RATE = 192_000


class Resampler:
    """A stream of mono s16le from one rate to another.

    Chunks may have any length, an odd number of bytes included: the outputs of a stream, joined,
    are the same bytes for every way of cutting it, and those of `resample` on the whole.

    Not thread-safe: one owner per instance. Two threads in one stream hang for ever in soxr.

    Args:
        from_rate: Hz of what is pushed, 8 000 to 192 000.
        to_rate: Hz of what comes out; the same as `from_rate` passes audio through untouched.

    Raises:
        AudioFormatError: If a rate is out of range.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        for rate in (from_rate, to_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise AudioFormatError(
                    f"cannot resample from {from_rate} Hz to {to_rate} Hz: "
                    f"{rate} is not between {MIN_RATE} and {MAX_RATE}"
                )
        self.from_rate = from_rate
        self.to_rate = to_rate
        # vr: the other modes withhold up to 75 ms and emit it in bursts. float32: int16 dithers,
        # which turns silence into noise. Both measured by tests/bench/resampling.py.
        self._soxr = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", vr=True)
        )
        self._half_sample = b""
        self._samples_in = 0
        self._samples_out = 0

    @property
    def delay_ms(self) -> float:
        """How much of what was pushed has not come out yet, in ms.

        After the first few chunks this is steady: 5 to 30 ms, by the rates; 0 for equal rates.
        """
        return 1000 * (self._samples_in / self.from_rate - self._samples_out / self.to_rate)

    def push(self, pcm: bytes) -> bytes:
        """Take the next piece of the stream and return what is ready, possibly nothing.

        Args:
            pcm: Mono s16le at `from_rate`. An odd last byte is kept for the next piece.

        Returns:
            Whole samples at `to_rate`.
        """
        data = self._half_sample + pcm
        whole = len(data) - len(data) % SAMPLE_BYTES
        self._half_sample = data[whole:]
        self._samples_in += whole // SAMPLE_BYTES
        if self._soxr is None:
            out = data[:whole]
        else:
            values = np.frombuffer(data, "<i2", whole // SAMPLE_BYTES).astype(np.float32)
            out = to_s16(self._soxr.resample_chunk(values))
        self._samples_out += len(out) // SAMPLE_BYTES
        return out

    def flush(self) -> bytes:
        """End the stream: return all that was withheld; the next push begins a new stream.

        With it a stream of n samples has given exactly n * to_rate / from_rate, rounded to the
        nearest (a half: up).

        Raises:
            AudioFormatError: If the stream ends in the middle of a sample. The stream is forgotten
                as by `reset`.
        """
        if self._half_sample:
            self.reset()
            raise AudioFormatError(
                "the audio ended in the middle of a 16-bit sample",
                advice="look for a lost or extra byte where the audio comes from; "
                "is it really 16-bit PCM?",
            )
        total = (2 * self._samples_in * self.to_rate + self.from_rate) // (2 * self.from_rate)
        missing = total - self._samples_out
        out = b""
        if self._soxr is not None:
            # soxr ends a variable-rate stream up to two samples short or long. Silence behind the
            # end makes it long always, and the excess is cut.
            padding = np.zeros(2 + 2 * self.from_rate // self.to_rate, np.float32)
            out = to_s16(self._soxr.resample_chunk(padding, last=True)[:missing])
        self.reset()
        return out

    def reset(self) -> None:
        """Forget everything that was pushed, so that the next push begins a new stream."""
        if self._soxr is not None:
            self._soxr.clear()
        self._half_sample = b""
        self._samples_in = 0
        self._samples_out = 0


def resample(pcm: bytes, from_rate: int, to_rate: int) -> bytes:
    """The whole of a mono s16le recording at another rate; see `Resampler`.

    Raises:
        AudioFormatError: If a rate is out of range or a sample is incomplete.
    """
    resampler = Resampler(from_rate, to_rate)
    return resampler.push(pcm) + resampler.flush()
