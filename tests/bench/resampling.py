"""Measures soxr's modes for live speech: the figures behind docs/explanation/audio.md.

    python tests/bench/resampling.py

Takes a few seconds. Only the column of costs depends on the computer.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from realtime_facade.audio.pcm import to_s16
from realtime_facade.audio.resample import Resampler

PAIRS = [
    (8_000, 24_000),
    (24_000, 8_000),
    (16_000, 24_000),
    (24_000, 16_000),
    (44_100, 24_000),
    (24_000, 44_100),
    (48_000, 24_000),
    (24_000, 48_000),
]
QUALITIES = ["QQ", "LQ", "MQ", "HQ"]
CHUNKS_PER_S = 50
LEVEL = 16_000.0

Floats = NDArray[np.float32]
Push = Callable[[Floats], Floats]


class Mode(NamedTuple):
    name: str
    start: Callable[[int, int], Push]


def raw(name: str, quality: str = "HQ", vr: bool = False) -> Mode:
    def start(from_rate: int, to_rate: int) -> Push:
        stream = soxr.ResampleStream(from_rate, to_rate, 1, "float32", quality, vr=vr)
        return lambda values: stream.resample_chunk(values)

    return Mode(name, start)


MODES = [*(raw(quality, quality) for quality in QUALITIES), raw("vr", vr=True)]


def tone(hz: float, rate: int, seconds: float = 1.0) -> Floats:
    time_s = np.arange(round(seconds * rate)) / rate
    return (LEVEL * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def middle(values: Floats) -> NDArray[np.float64]:
    """Without the ends, where a tone that is switched on or off holds every frequency."""
    return values[len(values) // 4 : -len(values) // 4].astype(np.float64)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(max(ratio, 1e-10)))


def fitted(values: Floats, hz: float, rate: int) -> tuple[float, float]:
    """The amplitude of a tone in `values`, and the root mean square of everything else."""
    heard = middle(values)
    angle = 2 * np.pi * hz * np.arange(len(heard)) / rate
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    parts, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    rest = heard - basis @ parts
    return float(np.hypot(*parts)), float(np.sqrt(np.mean(rest**2)))


def alias_db(mode: Mode, from_rate: int, to_rate: int) -> str:
    """The loudest trace of tones that the lower rate cannot hold, relative to them."""
    limit = to_rate / 2
    worst = -200.0
    for factor in (1.1, 1.15, 1.3, 1.5, 1.9):
        if limit * factor < 0.99 * from_rate / 2:
            left = middle(mode.start(from_rate, to_rate)(tone(limit * factor, from_rate)))
            worst = max(worst, decibels(float(np.sqrt(2 * np.mean(left**2))) / LEVEL))
    return f"{worst:.0f}" if worst > -200 else "-"


def snr_db(mode: Mode, from_rate: int, to_rate: int) -> float:
    """A tone at 1 kHz or at 0.85 of the lower Nyquist frequency, whichever does worse."""
    ratios = []
    for hz in (1_000, 0.85 * min(from_rate, to_rate) / 2):
        level, rest = fitted(mode.start(from_rate, to_rate)(tone(hz, from_rate)), hz, to_rate)
        ratios.append(decibels(level / np.sqrt(2) / max(rest, 1e-9)))
    return min(ratios)


def loss_db(mode: Mode, from_rate: int, to_rate: int) -> float:
    """What is left of a tone at 0.85 of the lower Nyquist frequency: 3.4 kHz on a telephone."""
    hz = 0.85 * min(from_rate, to_rate) / 2
    return decibels(
        fitted(mode.start(from_rate, to_rate)(tone(hz, from_rate)), hz, to_rate)[0] / LEVEL
    )


def withheld_ms(mode: Mode, from_rate: int, to_rate: int) -> tuple[float, float]:
    """The least and the most that is still inside after a push of 20 ms, once it has settled."""
    push = mode.start(from_rate, to_rate)
    chunk = tone(440, from_rate, 1 / CHUNKS_PER_S)
    out, waiting = 0, []
    for count in range(1, 201):
        out += len(push(chunk))
        waiting.append(1000 * (count / CHUNKS_PER_S - out / to_rate))
    return min(waiting[20:]), max(waiting[20:])


def cost_us(push: Callable[[], object]) -> float:
    """The median over many calls: other programs on the machine only ever add."""
    costs = []
    for _ in range(600):
        start = time.perf_counter()
        push()
        costs.append(time.perf_counter() - start)
    return float(np.median(costs)) * 1e6


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    say(
        "| rates | mode | alias, dB | SNR, dB | at 0.85 Nyquist, dB | withheld, ms | us per 20 ms |"
    )
    say("|---|---|--:|--:|--:|--:|--:|")
    for pair in PAIRS:
        for mode in MODES:
            low, high = withheld_ms(mode, *pair)
            push, chunk = mode.start(*pair), tone(440, pair[0], 1 / CHUNKS_PER_S)
            cost = cost_us(lambda push=push, chunk=chunk: push(chunk))
            say(
                f"| {pair[0]} to {pair[1]} | {mode.name} | {alias_db(mode, *pair)} "
                f"| {snr_db(mode, *pair):.0f} | {loss_db(mode, *pair):.1f} "
                f"| {low:.1f} to {high:.1f} | {cost:.0f} |"
            )

    say("\n`Resampler`, 16-bit bytes in and out:\n")
    say("| rates | `delay_ms` | us per 20 ms |")
    say("|---|--:|--:|")
    for pair in [*PAIRS, (24_000, 24_000)]:
        resampler = Resampler(*pair)
        pcm = to_s16(tone(440, pair[0], 1 / CHUNKS_PER_S))
        cost = cost_us(lambda resampler=resampler, pcm=pcm: resampler.push(pcm))
        say(f"| {pair[0]} to {pair[1]} | {resampler.delay_ms:.1f} | {cost:.0f} |")

    say()
    silence = np.zeros(24_000, np.int16)
    for dtype in ("int16", "float32"):
        loudest = np.abs(soxr.resample(silence.astype(dtype), 24_000, 16_000)).max()
        say(f"One second of silence through soxr as {dtype}: the loudest sample is {loudest:g}.")


if __name__ == "__main__":
    main()
