"""Scaled time runs as fast as it says, and identifiers repeat with their seed."""

import re
import time

import pytest

from realtime_facade.simulator.clock import Ids, ScaledClock, SystemClock


async def test_scaled_clock_sleeps_less_and_counts_more():
    clock = ScaledClock(100)
    before, unix, real = clock.monotonic(), clock.time(), time.monotonic()
    await clock.sleep(10)

    assert 0.09 < time.monotonic() - real < 1
    assert clock.monotonic() - before >= 9.9
    assert clock.time() - unix == pytest.approx(clock.monotonic() - before, rel=0.1)


@pytest.mark.parametrize("clock", [SystemClock(), ScaledClock(2)])
async def test_sleeping_for_less_than_nothing_returns(clock: SystemClock | ScaledClock):
    await clock.sleep(-5)


@pytest.mark.parametrize("factor", [0, -1])
def test_a_clock_does_not_stand_still(factor: float):
    with pytest.raises(ValueError, match="positive"):
        ScaledClock(factor)


def test_ids():
    first, second = Ids(7), Ids(7)
    made = [first.make("item_") for _ in range(50)]
    assert made == [second.make("item_") for _ in range(50)]
    assert len(set(made)) == 50
    assert all(re.fullmatch(r"item_[0-9A-Za-z]{21}", name) for name in made)
    assert re.fullmatch(r"call_[0-9A-Za-z]{16}", first.make("call_", 16))
    assert Ids(None).make("x") != Ids(None).make("x")
