"""Handles, the connection's limit, and what goes wrong on purpose."""

import asyncio
import base64
from dataclasses import replace

import pytest

from realtime_facade.simulator.babble import ScriptedRecognizer
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.faults import (
    AbortFault,
    CloseFault,
    DropFault,
    ErrorFault,
    LateDeltasFault,
    OddChunksFault,
    StallFault,
)
from realtime_facade.simulator.gemini.memory import Conversation, Handles, Lease

MANUAL = {"automaticActivityDetection": {"disabled": True}}
HELLO = '[[turns]]\nsteps = [{ say = "Good morning to you." }]'


def newest_handle(client):
    updates = [m["sessionResumptionUpdate"] for m in client.seen if "sessionResumptionUpdate" in m]
    return [u["newHandle"] for u in updates if u.get("resumable")][-1]


async def talked(rig, family, **more):
    """A client that has had one turn and hung up, and its handle."""
    client = await rig.connect(family, **more)
    await client.write("my name is Alice")
    await client.until("turnComplete")
    if family == "2.5-native":
        await client.until("sessionResumptionUpdate")
    return client, newest_handle(client)


async def test_2_5_offers_handles_after_turns_and_only_when_asked(rig):
    await rig.start(HELLO)
    silent = await rig.connect("2.5-native")
    await silent.write("hi")
    await silent.until("turnComplete")
    assert await silent.quiet() == []
    client, handle = await talked(rig, "2.5-native", sessionResumption={})
    updates = [m["sessionResumptionUpdate"] for m in client.seen if "sessionResumptionUpdate" in m]
    assert updates == [{}, {"newHandle": handle, "resumable": True}]


async def test_3_8_offers_one_at_once(rig):
    client = await (await rig.start(HELLO)).connect("3.8")
    assert "sessionResumptionUpdate" in await client.receive()


@pytest.mark.parametrize("family", ["2.5-native", "3.8"])
async def test_a_resumed_session_remembers(rig, family):
    await rig.start(HELLO)
    first, handle = await talked(rig, family, sessionResumption={})
    await first.connection.close()
    second = await rig.connect(family, sessionResumption={"handle": handle})
    await second.write("hi")
    *_, last = await second.until("turnComplete")
    assert last["usageMetadata"]["promptTokenCount"] > 4 + 1


async def refusal_of(rig, family, handle):
    client = await rig.dial()
    await client.send(setup=rig.setup(family, sessionResumption={"handle": handle}))
    closing = await client.closing()
    return client.named, closing


async def test_wrong_handles_are_refused_as_the_service_does(rig):
    await rig.start(HELLO)
    client, handle = await talked(rig, "3.8")
    assert await refusal_of(rig, "3.8", "nonsense") == ([], (1007, "Invalid session handle"))
    # The old connection has to be closed first.
    assert await refusal_of(rig, "3.8", handle) == ([], (1011, "Internal error occurred."))
    await client.connection.close()
    other = await refusal_of(rig, "3.1", handle)
    assert other == (["setupComplete"], (1011, "Internal error occurred."))


async def test_a_part_that_hangs_does_not_outlive_the_connection(rig):
    class Hanging(ScriptedRecognizer):
        async def finish(self):
            await asyncio.sleep(3600)

    await rig.start(HELLO)
    rig.simulator._parts = replace(rig.simulator._scenario.parts(), recognizer=lambda _: Hanging())
    client, handle = await talked(rig, "3.8", realtimeInputConfig=MANUAL)
    await client.send(realtimeInput={"activityStart": {}})
    await client.send(realtimeInput={"activityEnd": {}})
    await client.quiet(0.05)
    client.connection.transport.abort()
    await asyncio.sleep(0.05)
    assert rig.simulator.sessions_open == 0
    await rig.connect("3.8", sessionResumption={"handle": handle})


async def test_a_handle_dies_two_hours_after_its_connection(rig):
    await rig.start(HELLO, clock=ScaledClock(1_000_000), speed=0, session_limit_s=1e9)
    client, handle = await talked(rig, "3.8")
    await client.connection.close()
    await asyncio.sleep(0.05)
    assert (await refusal_of(rig, "3.8", handle))[1] == (
        1008,
        "BidiGenerateContent session not found",
    )


def test_handles_are_bounded():
    handles, lease = Handles(), Lease()
    for number in range(1_100):
        handles.keep(str(number), "m", Conversation(), lease)
    assert len(handles._kept) == 1_000
    assert "1099" in handles._kept


async def test_the_service_says_goodbye_before_it_hangs_up(rig):
    client = await (await rig.start(HELLO, clock=ScaledClock(2_000))).connect("3.8")
    code, reason = await client.closing()
    assert {"goAway": {"timeLeft": "60s"}} in client.seen
    assert code == 1008
    assert reason.startswith("Connection aborted because the client failed to close")
    assert len(reason.encode()) <= 123


async def test_the_limit_can_be_shortened(rig):
    clock = ScaledClock(100)
    client = await (await rig.start(HELLO, clock=clock, session_limit_s=10)).connect("2.5-native")
    await client.until("goAway")
    assert client.seen[-1] == {"goAway": {"timeLeft": "5s"}}
    assert (await client.closing())[0] == 1008


async def test_a_fault_closes_with_its_code(rig):
    fault = CloseFault(turn=1, after_chunks=2, code=1011, reason="You exceeded your current quota")
    client = await (await rig.start(HELLO, faults=[fault])).connect("3.8")
    await client.write("hi")
    assert await client.closing() == (1011, "You exceeded your current quota")
    assert client.named.count("modelTurn") == 2


async def test_an_error_is_a_close_here(rig):
    client = await (await rig.start(HELLO, faults=[ErrorFault()])).connect("3.8")
    await client.write("hi")
    assert (await client.closing())[0] == 1011


@pytest.mark.parametrize("fault", [AbortFault(turn=0), CloseFault(turn=0, code=1006)])
async def test_a_fault_breaks_the_connection(rig, fault):
    client = await (await rig.start(HELLO, faults=[fault])).connect("3.8")
    with pytest.raises(AssertionError, match="without a closing handshake"):
        await client.closing()


async def test_faults_drop_and_stall_messages(rig):
    faults = [DropFault(turn=0, message="setupComplete"), StallFault(turn=1, seconds=8)]
    await rig.start(HELLO, faults=faults)
    client = await rig.dial()
    await client.send(setup=rig.setup("2.5-native"))
    assert await client.quiet(0.05) == []
    await client.write("hi")
    assert await client.quiet(0.2) == []
    await client.until("turnComplete")


def audio(messages):
    return [
        base64.b64decode(part["inlineData"]["data"])
        for message in messages
        for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", [])
    ]


async def test_faults_cut_audio_oddly_and_lose_none(rig):
    heard = []
    for faults in ([], [OddChunksFault(turn=1)]):
        client = await (await rig.start(HELLO, faults=faults)).connect("3.8")
        await client.write("hi")
        heard.append(audio(await client.until("turnComplete")))
    even, odd = heard
    assert all(len(pcm) % 2 == 1 for pcm in odd)
    assert b"".join(odd) == b"".join(even)


async def test_faults_send_audio_after_the_interruption(rig):
    faults = [LateDeltasFault(turn=1, count=2)]
    client = await (await rig.start(HELLO, faults=faults, speed=2)).connect("3.8")
    await client.write("hi")
    await client.until("modelTurn")
    await client.send(clientContent={"turnComplete": False})
    await client.until("turnComplete")
    assert len(audio(await client.quiet())) == 2
