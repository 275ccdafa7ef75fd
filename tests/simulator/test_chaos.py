"""Chance repeats itself by its seed, keeps its rates, and leaves conversations a chance."""

import asyncio
from collections import Counter

from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_facade.simulator.chaos import Chaos
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.faults import RefuseFault

ENDINGS = {"close", "abort", "half_open", "expire", "outage"}
TROUBLES = {
    "latency",
    "error",
    "duplicate",
    "reorder",
    "cut",
    "oversize",
    "odd_chunks",
    "late_deltas",
    "resumption",
}


def test_a_seed_says_it_all():
    assert [Chaos(7).faults(n) for n in range(1, 50)] == [Chaos(7).faults(n) for n in range(1, 50)]
    assert len({Chaos(seed).faults(1) for seed in range(200)}) > 100
    for number in range(1, 30):
        assert {fault.session for fault in Chaos(7).faults(number)} <= {number}


def test_the_rates_are_as_documented():
    plans = [Chaos(seed).faults(number) for seed in range(500) for number in range(1, 5)]
    share = Counter(kind for plan in plans for kind in {fault.kind for fault in plan})
    assert 0.12 < share["refuse"] / len(plans) < 0.18
    assert 0.44 < sum(share[kind] for kind in ENDINGS) / len(plans) < 0.55
    assert share.keys() == ENDINGS | TROUBLES | {"refuse", "stall"}
    assert 0.15 < plans.count(()) / len(plans) < 0.23
    phases = Counter(getattr(fault, "phase", None) for plan in plans for fault in plan)
    assert phases.keys() >= {"setup", "idle", "speaking", "answering", "tool"}


def test_refusals_pass():
    refusals = [f for seed in range(500) for f in Chaos(seed).faults(1) if f.kind == "refuse"]
    assert {f.status for f in refusals if isinstance(f, RefuseFault)} == {500, 502, 503}


def test_calm_after_so_many_sessions():
    chaos = Chaos(3, calm_after=4)
    assert any(chaos.faults(number) for number in range(1, 5))
    assert not any(chaos.faults(number) for number in range(5, 100))


async def test_a_client_that_dials_again_gets_its_answer(simulator, call, utterance):
    """Whatever happens, no attempt hangs for long and one of them succeeds."""

    async def attempt(server) -> bool:
        try:
            async with asyncio.timeout(0.4), call(server) as client:
                await client.ready()
                await client.write("weather")
                await client.until("call")
                await client.answer("it is cold")
                await client.until("done")
                await client.hear(utterance)
                await client.until("done")
                return True
        except (ConnectionClosed, InvalidStatus, OSError, TimeoutError):
            await asyncio.sleep(0.01)
            return False

    happened = set()
    for seed in range(22, 32):
        chaos = Chaos(seed, calm_after=3)
        async with simulator(clock=ScaledClock(50), chaos=chaos) as server:
            async with asyncio.timeout(10):
                while not await attempt(server):
                    pass
            happened |= {fault.kind for record in server.connections for fault in record.faults}
        assert server.sessions_open == 0
    assert len(happened) > 3
