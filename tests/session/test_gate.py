import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.session.gate import SpeechGate, Verdict

RATE = 16_000
MS = RATE // 1000


class LoudVad:
    """Any frame with a loud sample is speech: 10 ms frames."""

    sample_rate = RATE
    frame_samples = 10 * MS

    def speech_probability(self, frame: bytes) -> float:
        return float(np.abs(np.frombuffer(frame, "<i2").astype(int)).max() > 100)


def tone(ms: int, level: int = 1000) -> bytes:
    return np.full(ms * MS, level, "<i2").tobytes()


def gate() -> SpeechGate:
    return SpeechGate(LoudVad(), RATE, verdict_ms=200, kept_ms=100)


def feed(gate, pcm, *, audible=True, chunk_ms=20):
    sent, verdicts = b"", []
    for start in range(0, len(pcm), 2 * chunk_ms * MS):
        out = gate.push(pcm[start : start + 2 * chunk_ms * MS], audible=audible)
        sent += out.pcm
        if out.verdict:
            verdicts.append(out.verdict)
        # Whoever hears the verdict falls silent.
        audible = audible and out.verdict is not Verdict.SPEECH
    return sent, verdicts


def test_while_nobody_listens_everything_passes():
    speech = tone(500)
    assert feed(gate(), speech, audible=False) == (speech, [])


def test_a_cough_is_not_sent_and_costs_no_time():
    pcm = tone(100, 0) + tone(120) + tone(600, 0)
    sent, verdicts = feed(gate(), pcm)
    assert verdicts == [Verdict.MAYBE, Verdict.NOTHING]
    assert sent == bytes(len(pcm)), "the provider's clock goes on, with silence"


def test_speech_that_lasts_is_sent_with_its_beginning():
    quiet, speech = tone(300, 3), tone(600, 2000)
    sent, verdicts = feed(gate(), quiet + speech)
    assert verdicts == [Verdict.MAYBE, Verdict.SPEECH]
    heard = np.frombuffer(sent, "<i2")
    assert (heard == 2000).sum() >= 200 * MS
    assert (heard == 3).sum() == 100 * MS, "what came before is kept as long as it was asked for"


def test_after_the_verdict_the_rest_passes_when_playback_was_cut():
    one = gate()
    feed(one, tone(300, 2000))
    rest = tone(200, 2000)
    assert feed(one, rest, audible=False) == (rest, [])


def test_two_coughs_are_two_questions():
    cough = tone(100) + tone(400, 0)
    assert feed(gate(), cough + cough)[1] == [Verdict.MAYBE, Verdict.NOTHING] * 2


def test_a_question_that_is_open_when_playback_ends_is_still_answered():
    one = gate()
    assert feed(one, tone(100))[1] == [Verdict.MAYBE]
    sent, verdicts = feed(one, tone(200), audible=False)
    assert verdicts == [Verdict.SPEECH]
    assert np.frombuffer(sent, "<i2").min() == 0 or len(sent) >= 2 * 200 * MS


def test_a_shut_gate_lets_nothing_through_while_the_assistant_speaks():
    one = gate()
    one.shut = True
    pcm = tone(1000)
    assert feed(one, pcm) == (bytes(len(pcm)), [])
    assert feed(one, pcm, audible=False) == (pcm, [])


@pytest.mark.parametrize("chunk_ms", [5, 10, 20, 40, 100, 1000])
def test_chunking_does_not_change_the_verdict(chunk_ms):
    _, verdicts = feed(gate(), tone(200, 0) + tone(800), chunk_ms=chunk_ms)
    assert verdicts[-1] is Verdict.SPEECH


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 300)), max_size=30),
)
def test_memory_is_bounded_and_no_audio_is_sent_twice(pieces):
    one = gate()
    counter = itertools.count(200)
    sent = b""
    for loud, audible, ms in pieces:
        level = next(counter) if loud else 0
        sent += one.push(tone(ms, level), audible=audible).pcm
        assert len(one._kept) <= 2 * (100 + 200 + 300 + 300) * MS
    values, counts = np.unique(np.frombuffer(sent, "<i2"), return_counts=True)
    longest = dict(zip((v for v in range(200, 300)), (p[2] for p in pieces if p[0]), strict=False))
    for value, count in zip(values, counts, strict=True):
        if value:
            assert count <= longest[int(value)] * MS
