"""Turns are found where they are in the audio, however it is cut and however fast it comes."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade.simulator.babble import ScriptedRecognizer
from realtime_facade.simulator.hearing import SpeechEnd, SpeechStart, Transcriber, TurnDetector

LOUD = b"\x00\x40"
QUIET = b"\x00\x00"


class LevelVad:
    """Speech is what is not zero."""

    sample_rate = 16_000
    frame_samples = 320

    def speech_probability(self, frame: bytes) -> float:
        return float(any(frame[1::2]))


def audio(*spans: tuple[bytes, int], rate: int = 16_000) -> bytes:
    return b"".join(sample * (ms * rate // 1000) for sample, ms in spans)


def pieces(pcm: bytes, ms: int = 20, rate: int = 16_000) -> Iterator[bytes]:
    size = rate * ms // 1000 * 2
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def found(detector: TurnDetector, pcm: bytes, ms: int = 20) -> list[SpeechStart | SpeechEnd]:
    return [event for piece in pieces(pcm, ms) for event in detector.push(piece)]


TWO_TURNS = audio((QUIET, 1000), (LOUD, 600), (QUIET, 700), (LOUD, 400), (QUIET, 900))


def test_positions_include_padding_and_silence():
    assert found(TurnDetector(LevelVad(), 16_000), TWO_TURNS) == [
        SpeechStart(700),
        SpeechEnd(2_100),
        SpeechStart(2_000),
        SpeechEnd(3_200),
    ]


@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=40))
@settings(deadline=None, max_examples=30)
def test_the_way_of_cutting_changes_nothing(sizes: list[int]):
    detector = TurnDetector(LevelVad(), 16_000)
    events = []
    rest = TWO_TURNS
    while rest:
        for size in sizes:
            events += detector.push(rest[: size * 2])
            rest = rest[size * 2 :]
    assert events == found(TurnDetector(LevelVad(), 16_000), TWO_TURNS)


def test_padding_does_not_reach_before_the_beginning():
    pcm = audio((QUIET, 100), (LOUD, 200), (QUIET, 600))
    assert found(TurnDetector(LevelVad(), 16_000), pcm) == [SpeechStart(0), SpeechEnd(800)]


def test_a_click_is_no_speech():
    detector = TurnDetector(LevelVad(), 16_000)
    assert not found(detector, audio((QUIET, 500), (LOUD, 20), (QUIET, 800)))


def test_a_short_pause_does_not_end_a_turn():
    pcm = audio((QUIET, 400), (LOUD, 300), (QUIET, 300), (LOUD, 300), (QUIET, 800))
    assert found(TurnDetector(LevelVad(), 16_000), pcm) == [SpeechStart(100), SpeechEnd(1_800)]
    hasty = TurnDetector(LevelVad(), 16_000, silence_duration_ms=200)
    assert len(found(hasty, pcm)) == 4


def test_speech_may_fade_a_little_before_it_is_silence():
    class Graded(LevelVad):
        def speech_probability(self, frame: bytes) -> float:
            return frame[1] / 100

    detector = TurnDetector(Graded(), 16_000, threshold=0.6)
    loud, fading, faint = (bytes([0, percent]) for percent in (70, 50, 40))
    assert not found(detector, audio((fading, 500)))
    pcm = audio((loud, 200), (fading, 1_000), (faint, 600))
    assert found(detector, pcm) == [SpeechStart(200), SpeechEnd(2_200)]


def test_utterance_holds_the_prefix_and_all_that_was_said():
    detector = TurnDetector(LevelVad(), 16_000)
    for piece in pieces(audio((QUIET, 3_000), (LOUD, 600), (QUIET, 800))):
        if any(isinstance(event, SpeechEnd) for event in detector.push(piece)):
            break
    assert detector.utterance == audio((QUIET, 300), (LOUD, 600), (QUIET, 500))
    assert not detector.speaking


def test_silence_is_not_kept_for_ever():
    detector = TurnDetector(LevelVad(), 16_000)
    found(detector, audio((QUIET, 20_000)))
    assert len(detector.utterance) < 32_000
    assert detector.position_ms == 20_000


def test_reset_forgets_the_open_turn_and_keeps_the_time():
    detector = TurnDetector(LevelVad(), 16_000)
    found(detector, audio((QUIET, 500), (LOUD, 500)))
    assert detector.speaking
    detector.reset()
    assert not detector.speaking
    assert detector.utterance == b""
    rest = audio((QUIET, 500), (LOUD, 300), (QUIET, 600))
    assert found(detector, rest) == [SpeechStart(1_200), SpeechEnd(2_300)]


def test_a_later_detector_goes_on_counting():
    detector = TurnDetector(LevelVad(), 16_000, start_ms=10_000)
    pcm = audio((QUIET, 500), (LOUD, 300), (QUIET, 600))
    assert found(detector, pcm) == [SpeechStart(10_200), SpeechEnd(11_300)]


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_other_rates_are_heard_at_the_same_times(rate: int):
    pcm = audio((QUIET, 1000), (LOUD, 600), (QUIET, 900), rate=rate)
    detector = TurnDetector(LevelVad(), rate)
    events = [event for piece in pieces(pcm, rate=rate) for event in detector.push(piece)]
    assert [type(event) for event in events] == [SpeechStart, SpeechEnd]
    assert events[0].at_ms == pytest.approx(700, abs=40)
    assert events[1].at_ms == pytest.approx(2_100, abs=60)
    assert detector.position_ms == 2_500


class SlowRecognizer(ScriptedRecognizer):
    """Takes its time, and notes what belongs to which utterance."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0
        self.utterances: list[int] = []
        self.closed = False

    def feed(self, pcm: bytes) -> None:
        self.open += len(pcm) // 2

    async def finish(self) -> str:
        await asyncio.sleep(0.01)
        self.utterances.append(self.open)
        self.open = 0
        return f"utterance {len(self.utterances)}"

    def reset(self) -> None:
        self.open = 0

    async def close(self) -> None:
        self.closed = True


async def test_transcriber_keeps_utterances_apart_while_the_recognizer_is_busy():
    recognizer = SlowRecognizer()
    transcriber = Transcriber(recognizer, 24_000)
    words = []
    for ms in (100, 200, 300):
        transcriber.feed(audio((LOUD, ms), rate=24_000))
        words.append(transcriber.end())
    transcriber.feed(audio((LOUD, 500), rate=24_000))
    transcriber.abandon()
    transcriber.feed(audio((LOUD, 50), rate=24_000))
    words.append(transcriber.end())
    await transcriber.finish()

    assert [word.result() for word in words] == [f"utterance {n}" for n in (1, 2, 3, 4)]
    assert recognizer.utterances == [1_600, 3_200, 4_800, 800]
    assert recognizer.closed


async def test_closing_a_transcriber_cancels_what_is_owed():
    recognizer = SlowRecognizer()
    transcriber = Transcriber(recognizer, 16_000)
    words = [transcriber.end(), transcriber.end()]
    await asyncio.sleep(0.001)
    await transcriber.close()

    assert all(word.cancelled() for word in words)
    assert recognizer.closed


@pytest.mark.parametrize("method", ["feed", "finish"])
async def test_a_recognizers_failure_belongs_to_one_utterance(method: str):
    class Fragile(ScriptedRecognizer):
        def feed(self, pcm: bytes) -> None:
            self._fail("feed")

        async def finish(self) -> str:
            self._fail("finish")
            return await super().finish()

        def _fail(self, where: str) -> None:
            nonlocal failures
            if where == method and failures:
                failures -= 1
                raise RuntimeError("broken")

    failures = 1
    transcriber = Transcriber(Fragile(["fine"]), 16_000)
    transcriber.feed(bytes(640))
    first = transcriber.end()
    transcriber.feed(bytes(640))
    second = transcriber.end()
    assert await second == "fine"
    with pytest.raises(RuntimeError, match="broken"):
        await first
    await transcriber.close()
