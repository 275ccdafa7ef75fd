"""Listeners: where they listen, whom they let in, and what they leave behind."""

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect

from realtime_facade.errors import ConfigurationError
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

OPTIONS: dict[str, Any] = {"additional_headers": {"api-key": "k"}, "proxy": None}


async def test_counts_sessions_and_closes_them_at_the_end():
    endless = Scenario.parse('[[turns]]\nsteps = [{ say = "' + "word " * 300 + '" }]')
    async with Simulator(scenario=endless, speed=1) as simulator:
        url = simulator.openai_url + "/realtime"
        async with connect(url, **OPTIONS):
            pass
        connections = [await connect(url, **OPTIONS) for _ in range(3)]
        for connection in connections:
            await connection.send('{"type": "response.create"}')
            await connection.recv()
        assert simulator.sessions_started == 4
        assert simulator.sessions_open == 3
    for connection in connections:
        async for _ in connection:  # ends with 1000 and 1001 only
            pass
        assert connection.close_code == 1001
    assert simulator.sessions_open == 0


async def test_sessions_do_not_share_anything():
    scenario = Scenario.parse('[[turns]]\nsteps = [{ say = "First." }]')
    async with Simulator(scenario=scenario, speed=0) as simulator:
        url = simulator.openai_url + "/realtime"
        said = []
        for _ in range(2):
            async with connect(url, **OPTIONS) as connection:
                await connection.send('{"type": "response.create"}')
                while (message := json.loads(await connection.recv()))["type"] != "response.done":
                    pass
                said.append(message["response"])
    texts = [response["output"][0]["content"][0]["transcript"] for response in said]
    assert texts == ["First.", "First."]
    assert said[0]["conversation_id"] != said[1]["conversation_id"]


async def test_a_seed_repeats_the_identifiers():
    first = []
    for _ in range(2):
        async with (
            Simulator(seed=3) as simulator,
            connect(simulator.openai_url + "/realtime", **OPTIONS) as connection,
        ):
            first.append(json.loads(await connection.recv())["event_id"])
    assert first[0] == first[1]


async def test_a_port_that_was_asked_for():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with Simulator(port=port) as simulator:
        assert simulator.openai_url == f"ws://127.0.0.1:{port}/v1"
        with pytest.raises(OSError, match=str(port)):
            async with Simulator(port=port):
                pass


async def test_both_wires_at_once():
    async with Simulator(wires=("openai", "gemini", "gemini_tls")) as simulator:
        assert simulator.openai_url.startswith("ws://127.0.0.1:")
        assert simulator.gemini_url.startswith("https://127.0.0.1:")
        assert simulator.gemini_plain_url.startswith("ws://127.0.0.1:")
        assert simulator.ca_path.read_text().startswith("-----BEGIN CERTIFICATE")
        ca_path = simulator.ca_path
    assert not ca_path.exists()


async def test_addresses_exist_while_it_runs():
    simulator = Simulator()
    with pytest.raises(ConfigurationError, match="openai"):
        _ = simulator.openai_url
    async with simulator:
        assert simulator.openai_url
        with pytest.raises(ConfigurationError, match="wires"):
            _ = simulator.gemini_url
        with pytest.raises(ConfigurationError, match="certificate"):
            _ = simulator.ca_path
    with pytest.raises(ConfigurationError):
        _ = simulator.openai_url


def test_other_computers_are_let_in_only_on_purpose():
    with pytest.raises(ConfigurationError, match="other computers"):
        Simulator(host="0.0.0.0")  # noqa: S104
    Simulator(host="0.0.0.0", allow_remote=True)  # noqa: S104


def test_a_wire_that_nobody_speaks():
    with pytest.raises(ConfigurationError, match="'morse'"):
        Simulator(wires=("morse",))  # type: ignore[arg-type]


async def test_a_client_that_vanishes_ends_its_session():
    async with Simulator() as simulator:
        connection = await connect(simulator.openai_url + "/realtime", **OPTIONS)
        await connection.recv()
        assert simulator.sessions_open == 1
        connection.transport.abort()
        async with asyncio.timeout(2):
            while simulator.sessions_open:  # noqa: ASYNC110 - a counter, for people
                await asyncio.sleep(0.01)
