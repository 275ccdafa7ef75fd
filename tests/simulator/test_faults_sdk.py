"""What the vendors' own clients make of the faults: the judges of how faithful they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.faults import (
    AbortFault,
    CloseFault,
    ExpireFault,
    RefuseFault,
    ResumptionFault,
)
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

TALK = Scenario.parse('[[turns]]\nsteps = [{ say = "Good morning to everybody." }]\n' * 3)
LIVE = "gemini-3.8-live"


@asynccontextmanager
async def openai(*faults: Any, **options: Any) -> AsyncIterator[Any]:
    options = {"speed": 0, "scenario": TALK, "faults": faults} | options
    async with Simulator(**options) as simulator:
        http = simulator.openai_url.replace("ws://", "http://")
        async with AsyncOpenAI(api_key="sk-test", base_url=http) as client:
            yield client.realtime.connect(
                model="gpt-realtime", websocket_connection_options={"proxy": None}
            )


@asynccontextmanager
async def gemini(
    monkeypatch: pytest.MonkeyPatch, *faults: Any, **options: Any
) -> AsyncIterator[Any]:
    options = {"speed": 0, "scenario": TALK, "faults": faults, "wires": ("gemini_tls",)} | options
    async with Simulator(**options) as simulator:
        monkeypatch.setenv("SSL_CERT_FILE", str(simulator.ca_path))
        http = types.HttpOptions(base_url=simulator.gemini_url)
        async with genai.Client(api_key="k", http_options=http).aio as client:
            yield client.live


async def test_openai_sees_the_end_of_a_session():
    async with openai(ExpireFault(turn=0, notice=0)) as dial, dial as connection:
        await connection.session.update(session={"type": "realtime"})
        events = [event async for event in connection]
    last = events[-1]
    assert last.type == "error"
    assert (last.error.code, last.error.type) == ("session_expired", "invalid_request_error")


async def test_openai_sees_a_broken_connection():
    async with openai(AbortFault(turn=0)) as dial, dial as connection:
        await connection.session.update(session={"type": "realtime"})
        with pytest.raises(ConnectionClosed) as closed:
            async for _ in connection:
                pass
    assert closed.value.rcvd is None


async def test_openai_sees_a_refusal():
    async with openai(RefuseFault(status=503)) as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial:
                pass
    assert refused.value.response.status_code == 503


async def test_gemini_sees_the_warning_and_the_end(monkeypatch: pytest.MonkeyPatch):
    fault, clock = ExpireFault(turn=0, notice=30), ScaledClock(200)
    async with (
        gemini(monkeypatch, fault, clock=clock) as live,
        live.connect(model=LIVE, config={"response_modalities": ["AUDIO"]}) as session,
    ):
        receiving = session.receive()
        messages = [await anext(receiving) for _ in range(2)]
        with pytest.raises(errors.APIError, match="GoAway") as closed:
            await anext(receiving)
    assert closed.value.code == 1008
    assert [m.go_away.time_left for m in messages if m.go_away] == ["30s"]


@pytest.mark.parametrize("code", [1001, 1012, 1013])
async def test_gemini_sees_the_code(monkeypatch: pytest.MonkeyPatch, code: int):
    async with (
        gemini(monkeypatch, CloseFault(turn=0, code=code)) as live,
        live.connect(model=LIVE, config={"response_modalities": ["AUDIO"]}) as session,
    ):
        with pytest.raises(errors.APIError) as closed:
            async for _ in session.receive():
                pass
    assert closed.value.code == code


async def test_gemini_sees_a_refused_handle(monkeypatch: pytest.MonkeyPatch):
    async with gemini(monkeypatch, ResumptionFault(session=2)) as live:
        config: Any = {"response_modalities": ["AUDIO"], "session_resumption": {}}
        async with live.connect(model=LIVE, config=config) as session:
            async for message in session.receive():
                if update := message.session_resumption_update:
                    config["session_resumption"]["handle"] = update.new_handle
                    break
        with pytest.raises(errors.APIError, match="Invalid session handle") as refused:
            async with asyncio.timeout(5), live.connect(model=LIVE, config=config):
                pass
    assert refused.value.code == 1007
