"""Everything that can be made to go wrong does, at its moment, on both wires."""

import asyncio
import contextlib
import json
from time import monotonic

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.faults import (
    AbortFault,
    CloseFault,
    CutFault,
    DropFault,
    DuplicateFault,
    ErrorFault,
    ExpireFault,
    FaultPlan,
    HalfOpenFault,
    LatencyFault,
    OutageFault,
    OversizeFault,
    RefuseFault,
    ReorderFault,
    ResumptionFault,
    StallFault,
)
from realtime_facade.simulator.scenario import Scenario

# -- moments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["setup", "idle", "speaking", "answering", "tool"])
async def test_a_phase_is_when_it_happens(caller, simulator, call, utterance, phase):
    fault = CloseFault(phase=phase, code=1012, reason="restart")
    async with simulator(faults=[fault]) as server, call(server) as client:
        if phase != "setup":
            await client.ready()
            if phase == "speaking":
                await client.hear(utterance)
            else:
                await client.write("weather" if phase == "tool" else "good morning")
        assert await client.ending() == (1012, "restart")

    seen = [event for event in client.seen if event != "words"]
    if phase == "speaking":
        assert seen == ["ready", "speech"] if caller.wire == "openai" else ["ready"]
    elif phase == "idle":
        assert (seen[0], seen[-1], set(seen)) == ("ready", "done", {"ready", "chunk", "done"})
    else:
        assert seen == {"setup": [], "answering": ["ready"], "tool": ["ready", "call"]}[phase]


async def test_after_chunks_of_an_answer(simulator, call):
    fault = CloseFault(turn=2, after_chunks=3)
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.ready()
        await client.write("good morning")
        await client.until("done")
        first = client.seen.count("chunk")
        await client.write("good morning")
        assert (await client.ending())[0] == 1011
        assert client.seen.count("chunk") == first + 3 < 2 * first


@pytest.mark.parametrize("phase", ["idle", "tool"])
async def test_elsewhere_the_chunks_are_the_clients_frames(simulator, call, phase):
    fault = HalfOpenFault(phase=phase, after_chunks=4)
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.ready()
        await client.write("weather" if phase == "tool" else "good morning")
        await client.until("call" if phase == "tool" else "done")
        record = server.connections[0]
        before = record.frames_in
        await client.hear(bytes(1280 * 6))
        async with asyncio.timeout(2):
            while not record.faults:  # noqa: ASYNC110 - for people, as is the counter
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        assert record.frames_in == before + 4


async def test_turn_0_is_a_session_that_has_just_been_configured(simulator, call):
    async with simulator(faults=[CloseFault(turn=0)]) as server, call(server) as client:
        await client.configure()
        assert (await client.ending())[0] == 1011
        assert client.seen == ["ready"]


@pytest.mark.parametrize("frame", [1, 2, 7])
async def test_at_any_frame(simulator, call, frame):
    async with simulator(faults=[CloseFault(frame=frame)]) as server, call(server) as client:
        with contextlib.suppress(ConnectionClosed):
            await client.configure()
            await client.write("good morning")
        assert (await client.ending())[0] == 1011
        assert len(client.messages) == frame == server.connections[0].frames_out


async def test_only_in_its_session(simulator, call):
    async with simulator(faults=[CloseFault(session=2, turn=0)]) as server:
        for number in (1, 2, 3):
            async with call(server) as client:
                await client.ready()
                if number == 2:
                    assert (await client.ending())[0] == 1011
                else:
                    await client.write("good morning")
                    await client.until("done")


# -- the connection -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 4000])
async def test_close_codes(simulator, call, code):
    fault = CloseFault(phase="setup", code=code, reason="r" * 200)
    async with simulator(faults=[fault]) as server, call(server) as client:
        assert await client.ending() == (code, "r" * 123)
    record = server.connections[0]
    assert (record.code, record.closed_by, record.faults) == (code, "simulator", [fault])


async def test_a_close_without_a_code(simulator, call):
    async with (
        simulator(faults=[CloseFault(phase="setup", code=1005)]) as server,
        call(server) as client,
    ):
        assert (await client.ending())[0] == 1005


@pytest.mark.parametrize("fault", [AbortFault(turn=0), CloseFault(turn=0, code=1006)])
async def test_a_broken_connection(simulator, call, fault):
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.ready()
        assert await client.ending() == (None, "")
    assert (server.connections[0].code, server.connections[0].closed_by) == (1006, None)


async def test_a_reset_is_seen_as_one(simulator, call):
    async with simulator(faults=[AbortFault(turn=0, reset=True)]) as server, call(server) as client:
        await client.configure()
        assert await client.ending() == (None, "")
    assert isinstance(client.cause, ConnectionResetError)


async def test_half_open_answers_nothing_and_hears_nothing(simulator, call):
    fault = HalfOpenFault(after_chunks=1)
    async with simulator(faults=[fault]) as server:
        async with call(server) as client:
            await client.ready()
            await client.write("good morning")
            await client.until("chunk")
            heard = server.connections[0].frames_in
            assert await client.silent()
            await client.write("are you there?")
            pong = await client.connection.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pong
            assert server.connections[0].frames_in == heard
            assert server.sessions_open == 1
        # The client has gone without an answer to its goodbye; nothing stays behind.
        async with asyncio.timeout(2):
            while server.sessions_open:  # noqa: ASYNC110 - a counter, for people
                await asyncio.sleep(0.01)


async def test_a_stall_answers_pings_and_loses_nothing(simulator, call):
    async with (
        simulator(faults=[StallFault(after_chunks=1, seconds=0.3)]) as server,
        call(server) as client,
    ):
        await client.ready()
        await client.write("good morning")
        await client.until("chunk")
        start = monotonic()
        await (await client.connection.ping())
        assert monotonic() - start < 0.25
        await client.until("done")
        assert monotonic() - start > 0.25
        first = client.seen.count("chunk")
        await client.write("good morning")
        await client.until("done")
        assert client.seen.count("chunk") == 2 * first


async def test_a_setup_that_is_never_answered(simulator, call):
    async with (
        simulator(faults=[StallFault(phase="setup", seconds=60)]) as server,
        call(server) as client,
    ):
        await client.configure()
        assert await client.silent(0.2)
        assert client.messages == []


async def test_latency_delays_every_frame_and_keeps_the_order(simulator, call):
    fault = LatencyFault(phase="setup", ms=60, jitter_ms=40)
    heard = []
    for faults in ([], [fault]):
        async with simulator(faults=faults) as server, call(server) as client:
            await client.ready()
            start = monotonic()
            await client.write("good morning")
            await client.until("chunk")
            delay = monotonic() - start
            await client.until("done")
            heard.append([client.events(message) for message in client.messages])
    # It is latency and not a narrow pipe: the frames overlap on their way.
    assert delay >= 0.06
    assert monotonic() - start < 0.06 * len(client.messages)
    assert heard[0] == heard[1]


async def test_a_close_comes_after_frames_that_are_late(simulator, call):
    faults = [LatencyFault(phase="setup", ms=80), CloseFault(after_chunks=2)]
    async with simulator(faults=faults) as server, call(server) as client:
        await client.ready()
        await client.write("good morning")
        assert (await client.ending())[0] == 1011
        assert client.seen.count("chunk") == 2


async def test_an_outage_ends_everybody_and_comes_back_on_the_same_port(caller, simulator, call):
    # Only the first session takes the server down.
    fault = OutageFault(session=1, after_chunks=1, seconds=0.3, code=1012)
    async with simulator(faults=[fault]) as server:
        address = caller.address(server)[0]
        async with call(server) as client, call(server) as other:
            await client.ready()
            await client.write("good morning")
            assert (await client.ending())[0] == 1012
            assert (await other.ending())[0] == 1012
        with pytest.raises(ConnectionRefusedError):
            async with call(server):
                pass
        await asyncio.sleep(0.4)
        assert caller.address(server)[0] == address
        async with call(server) as client:
            await client.ready()


async def test_an_outage_that_outlasts_the_simulator(simulator, call):
    async with (
        simulator(faults=[OutageFault(turn=0, seconds=1000)]) as server,
        call(server) as client,
    ):
        await client.configure()
        assert await client.ending() == (None, "")


async def test_going_away_and_coming_back_by_hand(simulator, call):
    async with simulator() as server:
        async with call(server) as client:
            await client.ready()
            await server.go_away(1001)
            assert (await client.ending())[0] == 1001
        with pytest.raises(ConnectionRefusedError):
            async with call(server):
                pass
        await server.come_back()
        await server.come_back()
        async with call(server) as client:
            await client.ready()


# -- limits -------------------------------------------------------------------------------------


async def test_the_limit_of_a_session_on_a_fast_clock(caller, simulator, call):
    # OpenAI's hour and Gemini's ten minutes pass in about a third of a second.
    clock = ScaledClock(11_000 if caller.wire == "openai" else 1_800)
    async with simulator(clock=clock) as server, call(server) as client:
        await client.ready()
        code, reason = await client.ending()
    if caller.wire == "openai":
        error = client.messages[-1]["error"]
        assert (code, error["code"]) == (1001, "session_expired")
        assert error["message"] == "Your session hit the maximum duration of 60 minutes."
    else:
        assert client.messages[-1] == {"goAway": {"timeLeft": "60s"}}
        assert (code, reason[:18]) == (1008, "Connection aborted")
    record = server.connections[0]
    assert record.closed_at is not None
    assert record.closed_at - record.opened_at >= (3600 if caller.wire == "openai" else 600)


@pytest.mark.parametrize("notice", [0, 20])
async def test_an_end_of_the_session_at_will(caller, simulator, call, notice):
    fault = ExpireFault(after_chunks=1, notice=notice)
    async with simulator(faults=[fault], clock=ScaledClock(100)) as server, call(server) as client:
        await client.ready()
        await client.write("good morning")
        code, reason = await client.ending()
    if caller.wire == "openai":
        assert (code, client.seen[-1]) == (1001, "error")
    elif notice:
        assert code == 1008
        assert {"goAway": {"timeLeft": "20s"}} in client.messages
        assert client.seen[-1] == "done", "the session goes on after the warning"
    else:
        assert (code, reason) == (1011, "Deadline expired before operation could complete.")
        assert "warning" not in client.seen


# -- messages -----------------------------------------------------------------------------------


async def test_an_error(caller, simulator, call):
    async with (
        simulator(faults=[ErrorFault(after_chunks=1, message="bad day")]) as server,
        call(server) as client,
    ):
        await client.ready()
        await client.write("good morning")
        if caller.wire == "openai":
            await client.until("done")
            errors = [m["error"]["message"] for m in client.messages if m["type"] == "error"]
            assert errors == ["bad day"]
        else:
            assert await client.ending() == (1011, "bad day")


async def test_a_dropped_message(caller, simulator, call):
    fault = DropFault(turn=0, message=caller.acknowledged)
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.configure()
        await client.write("good morning")
        await client.until("done")
    assert "ready" not in client.seen


@pytest.mark.parametrize("kind", [DuplicateFault, ReorderFault])
async def test_the_users_words_twice_or_late(caller, simulator, call, utterance, kind):
    orders = []
    for faults in ([], [kind(phase="setup", message=caller.user_words)]):
        async with simulator(faults=faults) as server, call(server) as client:
            await client.ready()
            await client.hear(utterance)
            await client.until("done")
            orders.append([client.about(message) for message in client.messages])
            words = [m for m in client.messages if "words" in client.events(m)]
    plain, changed = orders
    assert changed != plain
    if kind is DuplicateFault:
        assert len(changed) == len(plain) + 1
        assert words[0] == words[1]
    else:
        assert sorted(changed) == sorted(plain)


async def test_a_message_behind_others(caller, simulator, call):
    fault = ReorderFault(phase="setup", message=caller.ended, behind=1)
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.ready()
        await client.write("good morning")
        await client.until("chunk")
        await asyncio.sleep(0.1)
        await client.write("good morning")
        await client.until("done")
        late = client.messages[-1]
        await client.until("done")
    names = [client.events(message) for message in client.messages]
    assert names.count(["done"]) == 2
    assert client.messages.index(late) < len(client.messages) - 1


async def test_a_frame_cut_in_the_middle(caller, simulator, call):
    fault = CutFault(phase="setup", message=caller.ended)
    async with simulator(faults=[fault]) as server, call(server) as client:
        await client.ready()
        await client.write("good morning")
        while not client.broken:
            await client.read()
        assert client.seen[-1] == "chunk"
        await client.write("good morning")
        await client.until("done")
    assert (client.broken, client.seen.count("done")) == (1, 1)


async def test_a_huge_frame(simulator, call):
    async with (
        simulator(faults=[OversizeFault(turn=0, megabytes=3)]) as server,
        call(server) as client,
    ):
        await client.ready()
        frame = await client.connection.recv()
        assert len(frame) > 3 * 2**20
        await client.write("good morning")
        await client.until("done")


# -- the door -----------------------------------------------------------------------------------


async def refused(call, server) -> int | None:
    """The HTTP status of a handshake, or None if it is accepted."""
    try:
        async with call(server):
            return None
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
async def test_refused_handshakes(simulator, call, status):
    fault = RefuseFault(status=status, times=2, session=2)
    async with simulator(faults=[fault]) as server:
        answers = [await refused(call, server) for _ in range(5)]
        assert [r.status for r in server.refused] == [status, status]
        assert server.sessions_started == 3
    assert answers == [None, status, status, None, None]


async def test_refused_for_a_while_before_every_session(simulator, call):
    fault = RefuseFault(status=503, seconds=10)
    async with simulator(faults=[fault], clock=ScaledClock(100)) as server:
        answers = []
        for _ in range(2):
            answers += [await refused(call, server), await refused(call, server)]
            await asyncio.sleep(0.11)
            answers.append(await refused(call, server))
    assert answers == [503, 503, None] * 2


async def test_the_reason_of_a_refusal(caller, simulator, call):
    fault = RefuseFault(status=429, code="insufficient_quota")
    async with simulator(faults=[fault]) as server:
        with pytest.raises(InvalidStatus) as refusal:
            async with call(server):
                pass
    error = json.loads(refusal.value.response.body)["error"]
    assert error["message"]
    assert error["code" if caller.wire == "openai" else "status"] == "insufficient_quota"


async def test_a_handshake_that_is_not_answered(simulator, call):
    async with simulator(faults=[RefuseFault(status=None)]) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), call(server):
                pass
        async with call(server) as client:
            await client.ready()
        assert [r.status for r in server.refused] == [None]


async def test_a_hanging_handshake_does_not_keep_the_simulator(simulator, call):
    async with simulator(faults=[RefuseFault(status=None)]) as server:

        async def dial() -> None:
            async with call(server):
                pass

        dialling = asyncio.create_task(dial())
        while not server.refused:  # noqa: ASYNC110 - a record, for people
            await asyncio.sleep(0.01)
        start = monotonic()
    assert monotonic() - start < 1
    with pytest.raises((InvalidMessage, ConnectionError)):
        await dialling


@pytest.mark.parametrize(("why", "code"), [("unknown", 1007), ("expired", 1008), ("busy", 1011)])
async def test_a_refused_resumption(caller, simulator, call, why, code):
    if caller.wire == "openai":
        pytest.skip("no handles on this wire")
    async with simulator(faults=[ResumptionFault(session=2, why=why)]) as server:
        async with call(server) as client:
            await client.ready()
            await client.write("good morning")
            while (
                "sessionResumptionUpdate" not in client.messages[-1]
                or not client.messages[-1]["sessionResumptionUpdate"]
            ):
                await client.read()
            handle = client.messages[-1]["sessionResumptionUpdate"]["newHandle"]
        for session in (2, 3):
            async with call(server) as client:
                await client.configure(sessionResumption={"handle": handle})
                if session == 2:
                    assert (await client.ending())[0] == code
                else:
                    await client.until("ready")


# -- records and plans --------------------------------------------------------------------------


async def test_a_record_of_every_connection(caller, simulator, call):
    async with simulator() as server:
        async with call(server) as client:
            await client.ready()
            record = server.connections[0]
            assert (record.number, record.wire[:6], record.closed_at) == (1, caller.wire, None)
            assert (record.frames_in, record.frames_out) == (1, len(client.messages))
            await client.connection.close(1000, "bye")
        async with call(server) as client:
            await client.ready()
    first, second = server.connections
    assert (first.code, first.reason, first.closed_by) == (1000, "bye", "client")
    assert (second.number, second.code) == (2, 1000)
    assert first.closed_at is not None
    assert second.closed_at is not None
    assert first.opened_at <= first.closed_at <= second.opened_at <= second.closed_at


def test_a_fault_can_be_meant_for_one_session():
    faults = [CloseFault(session=2), ErrorFault()]
    assert [f.kind for f in FaultPlan(faults, 1).begin("answering")] == ["error"]
    assert [f.kind for f in FaultPlan(faults, 2).begin("answering")] == ["close", "error"]


def test_a_fault_happens_once_and_a_plan_has_an_end():
    plan = FaultPlan([CloseFault(turn=2, after_chunks=1)], 1)
    assert plan.begin("answering") == plan.answered() == []
    assert plan.begin("idle") == plan.begin("answering") == []
    assert not plan.over
    assert [f.kind for f in plan.answered()] == ["close"]
    assert plan.over
    assert plan.answered() == []


def test_a_message_fault_waits_from_its_moment_on():
    plan = FaultPlan([DropFault(message="a"), CutFault(turn=0)], 1)
    assert plan.message(["a", "b"]) == CutFault(turn=0)
    assert plan.message(["a"]) is None
    plan.begin("answering")
    assert plan.message(["b"]) is None
    assert plan.message(["b", "a"]) == DropFault(message="a")
    assert plan.message(["a"]) is None
    assert plan.over


def test_every_kind_can_be_written_in_a_scenario():
    scenario = Scenario.parse("""
        [[faults]]
        kind = "half_open"
        phase = "tool"
        after_chunks = 2
        session = 1

        [[faults]]
        kind = "refuse"
        status = 503
        times = 3
        session = 2
    """)
    assert scenario.faults == (
        HalfOpenFault(phase="tool", after_chunks=2, session=1),
        RefuseFault(status=503, times=3, session=2),
    )
