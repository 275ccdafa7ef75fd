import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio.resample import resample
from realtime_facade.devices.cardtape import CardTape
from realtime_facade.devices.convert import Converter
from realtime_facade.errors import AudioFormatError

RATE = 8_000
MS = 8
LATENCY = 0.04


def written(ms: float, rate: int = RATE) -> bytes:
    return bytes(2 * round(ms * rate / 1000))


def test_a_block_is_heard_when_the_card_said_so():
    card = CardTape(RATE)
    card.write(written(100))
    assert len(card.pull(20 * MS, 1.0, LATENCY)) == 20 * MS
    moments = (1.0, 1.039, 1.045, 1.06, 9.0)
    assert [card.played_ms(now) for now in moments] == [0, 0, 5, 20, 20]


def test_silence_does_not_count():
    card = CardTape(RATE)
    card.write(written(30))
    for now in (1.0, 1.02, 1.04, 1.06):
        card.pull(20 * MS, now, LATENCY)
    assert card.ran_out == 1
    assert card.played_ms(2.0) == 30
    card.write(written(30))
    card.pull(20 * MS, 3.0, LATENCY)
    assert [card.played_ms(now) for now in (3.0, 3.05)] == [30, 40]


def test_a_latency_that_jitters_does_not_turn_back():
    card = CardTape(RATE)
    card.write(written(100))
    card.pull(20 * MS, 1.0, 0.03)
    card.pull(20 * MS, 1.02, 0.05)
    assert [card.played_ms(now) for now in (1.049, 1.06, 1.07, 1.08)] == [19, 20, 20, 30]
    card.pull(20 * MS, 1.04, 0.01)
    assert card.played_ms(1.0) == 30


def test_after_a_clear_what_the_card_has_counts_and_the_position_stands():
    card = CardTape(RATE)
    card.write(written(200))
    for now in (1.0, 1.02, 1.04):
        card.pull(20 * MS, now, LATENCY)
    card.clear()
    assert [card.played_ms(now) for now in (1.07, 1.08, 5.0)] == [60, 60, 60]
    assert len(card.pull(20 * MS, 5.0, LATENCY)) == 0
    card.write(written(50))
    card.pull(20 * MS, 5.02, LATENCY)
    assert [card.played_ms(now) for now in (5.05, 5.07, 6.0)] == [60, 70, 80]


def test_a_hold_sounds_out_what_the_card_has_and_stands():
    card = CardTape(RATE)
    card.write(written(200))
    card.pull(20 * MS, 1.0, LATENCY)
    with card.locked() as tape:
        tape.held = True
    assert len(card.pull(20 * MS, 1.02, LATENCY)) == 5 * MS
    assert len(card.pull(20 * MS, 1.04, LATENCY)) == 0
    assert (card.played_ms(9.0), card.sounding(9.0), card.ran_out) == (25, False, 0)
    with card.locked() as tape:
        tape.held = False
    assert len(card.pull(20 * MS, 9.0, LATENCY)) == 20 * MS
    assert card.played_ms(9.05) == 35


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_card_of_another_rate_gets_all_and_counts_written_samples(rate):
    pcm = (5_000 * np.sin(np.arange(24_000) / 20)).astype("<i2").tobytes()
    card = CardTape(24_000)
    card.write(pcm[:9_600])
    card.adopt(rate)
    card.write(pcm[9_600:])
    card.flush()
    played = card.pull(10**6, 1.0, 0.0)
    assert len(played) == rate
    # What was converted in two parts differs at the seam alone.
    expected = np.frombuffer(resample(pcm, 24_000, rate), "<i2")
    differs = np.flatnonzero(np.abs(played.astype(int) - expected) > 2)
    assert len(differs) < rate * 0.05
    assert card.played_ms(1.5) == pytest.approx(500, abs=0.1)
    assert card.played_ms(3.0) == 1_000


def test_another_card_goes_on_with_what_waits():
    card = CardTape(24_000)
    card.adopt(48_000)
    card.write(bytes(2 * 24_000))
    card.pull(4_800, 1.0, LATENCY)
    card.adopt(16_000)
    assert card.played_ms(1.0) == pytest.approx(100, abs=0.1)
    assert card.waiting_s() == pytest.approx(0.9, abs=0.001)
    card.flush()
    card.pull(10**6, 2.0, 0.0)
    assert card.played_ms(9.0) == 1_000


def test_what_the_conversion_keeps_back_is_known():
    card = CardTape(24_000)
    card.write(bytes(960))
    assert not card.withheld
    card.adopt(8_000)
    card.write(bytes(960))
    assert card.withheld
    card.clear()
    assert not card.withheld


def test_half_a_sample_is_refused_and_changes_nothing():
    card = CardTape(24_000)
    with pytest.raises(AudioFormatError):
        card.write(b"abc")
    assert card.waiting_s() == 0


def test_roundings_of_ended_streams_do_not_add_up():
    converter = Converter(24_000, 8_000)
    out = 0
    for _ in range(1_000):
        out += len(converter.push(bytes(200)) + converter.flush()) // 2
    assert out == 33_000
    assert converter.source(out) == 100_000
    assert converter.source(out + 50) == 100_000


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 600)),
            st.tuples(st.just("pull"), st.integers(1, 400)),
            st.tuples(st.sampled_from(["clear", "hold", "resume"]), st.just(0)),
        ),
        max_size=50,
    ),
    st.integers(0, 800),
)
def test_the_position_agrees_with_a_tape_of_single_samples(steps, latency):
    """A card that plays each block as soon as the one before it ends, `latency` samples late."""
    card = CardTape(RATE)
    tape = 0
    handed: list[tuple[int, int, int]] = []
    now = heard = 0
    for what, number in steps:
        if what == "write":
            card.write(bytes(2 * number))
            tape += number
        elif what == "pull":
            with card.locked() as inner:
                first = inner.head
            taken = len(card.pull(number, now / RATE, latency / RATE))
            handed.append((now + latency, first, taken))
            now += number
        elif what == "clear":
            card.clear()
            tape = heard = max([heard, *(first + taken for _, first, taken in handed)])
            handed.clear()
        else:
            with card.locked() as inner:
                inner.held = what == "hold"
        for at, first, taken in handed:
            if taken and now > at:
                heard = max(heard, first + min(now - at, taken))
        position = card.played_ms(now / RATE) * MS
        assert abs(position - heard) <= 1
        heard = round(position)
        assert position <= tape
