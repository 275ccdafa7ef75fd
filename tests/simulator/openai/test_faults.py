"""Everything that can be made to go wrong does, in its turn and only there."""

import base64
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from realtime_facade.simulator.faults import (
    AbortFault,
    AnyFault,
    CloseFault,
    DropFault,
    ErrorFault,
    LateDeltasFault,
    OddChunksFault,
    StallFault,
)

TWICE = '[[turns]]\nsteps = [{ say = "One two three four." }]\n' * 2
LONG = '[[turns]]\nsteps = [{ say = "' + "word " * 60 + '" }]\n'


async def answer(client: Any) -> list[dict[str, Any]]:
    await client.send("response.create")
    messages: list[dict[str, Any]] = await client.until("rate_limits.updated")
    return messages


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (CloseFault(turn=2, after_chunks=3, code=1013, reason="try later"), 1013, "try later"),
        (AbortFault(turn=2, after_chunks=3), None, None),
    ],
)
async def test_connection_ends_in_the_second_turn(
    dial: Any, fault: AnyFault, code: int | None, reason: str | None
):
    async with dial(TWICE, faults=[fault]) as client:
        await answer(client)
        with pytest.raises(ConnectionClosed) as closed:
            await answer(client)

    received = closed.value.rcvd
    assert (received and received.code, received and received.reason) == (code, reason)
    second = [m for m in client.received if m["type"] == "response.created"][1]["response"]["id"]
    deltas = [m for m in client.received if m.get("response_id") == second and "delta" in m]
    audio = [m for m in deltas if m["type"] == "response.output_audio.delta"]
    if code is not None:  # what was sent just before an abort may be lost
        assert len(audio) == 3


async def test_close_right_after_the_configuration(dial: Any):
    async with dial(faults=[CloseFault(turn=0, code=1011)]) as client:
        assert (await client.configure())["type"] == "session.updated"
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()

    assert closed.value.rcvd.code == 1011


async def test_error_event_does_not_end_the_answer(dial: Any):
    async with dial(TWICE, faults=[ErrorFault(after_chunks=2, code="boom")]) as client:
        messages = await answer(client)

    errors = [m["error"] for m in messages if m["type"] == "error"]
    assert [error["code"] for error in errors] == ["boom"]
    assert messages[-2]["response"]["status"] == "completed"


async def test_dropped_message(dial: Any):
    async with dial(TWICE, faults=[DropFault(turn=1, message="response.done")]) as client:
        first = await answer(client)
        second = await answer(client)

    assert "response.done" not in {message["type"] for message in first}
    assert "response.done" in {message["type"] for message in second}


async def test_stall_delays_but_loses_nothing(dial: Any):
    from time import perf_counter

    async with dial(TWICE, faults=[StallFault(after_chunks=1, seconds=0.6)]) as client:
        start = perf_counter()
        first = await answer(client)
        middle = perf_counter()
        second = await answer(client)
        end = perf_counter()

    assert middle - start > 0.6 > end - middle
    assert [m["type"] for m in first] == [m["type"] for m in second]


async def test_odd_chunks_join_to_the_same_audio(dial: Any):
    async with dial(TWICE, faults=[OddChunksFault(turn=2)]) as client:
        turns = [await answer(client), await answer(client)]

    even, odd = (
        [base64.b64decode(m["delta"]) for m in turn if m["type"] == "response.output_audio.delta"]
        for turn in turns
    )
    assert all(len(chunk) % 2 == 0 for chunk in even)
    assert sum(len(chunk) % 2 for chunk in odd) > len(odd) / 2
    assert b"".join(even) == b"".join(odd)


async def test_late_deltas_of_a_cancelled_answer(dial: Any):
    async with dial(LONG, speed=20, faults=[LateDeltasFault(count=2)]) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        done = (await client.one("response.done"))["response"]
        late = await client.until("response.output_audio.delta", 2)

    stale = [m for m in late if m["type"] == "response.output_audio.delta"]
    assert {m["response_id"] for m in stale} == {done["id"]}
