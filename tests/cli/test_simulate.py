import asyncio
import json
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from realtime_facade import RealtimeVoice, TurnEnded
from realtime_facade.simulator.chaos import Chaos

SCENARIO = """
[[turns]]
steps = [{ say = "Hello from the other process." }]
"""


@asynccontextmanager
async def simulate(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "realtime_facade.cli", "simulate", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "hello.toml"
    path.write_text(SCENARIO)
    return str(path)


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode()


async def answer(provider: str, base_url: str) -> str:
    voice = RealtimeVoice(provider, api_key="any", base_url=base_url)
    async with asyncio.timeout(10), voice.connect() as session:
        events = session.events()
        await session.send_text("Hello")
        async for event in events:
            if isinstance(event, TurnEnded):
                break
        return session.history.turns[-1].text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_both_wires_are_served_until_a_signal(scenario: str, number: signal.Signals):
    async with simulate("--json", "--speed", "0", "--scenario", scenario) as process:
        addresses = json.loads(await first_line(process))
        assert await answer("openai", addresses["openai"]) == "Hello from the other process."
        assert await answer("gemini", addresses["gemini_plain"]) == "Hello from the other process."
        ssl.create_default_context(cafile=addresses["ca"])
        assert addresses["gemini"].startswith("https://127.0.0.1:")

        process.send_signal(number)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""


async def test_chance_comes_by_its_seed(scenario: str):
    refused = next(s for s in range(100) if [f.kind for f in Chaos(s).faults(1)] == ["refuse"])
    async with simulate(
        "--json", "--speed", "0", "--scenario", scenario, "--chaos", str(refused)
    ) as process:
        url = json.loads(await first_line(process))["openai"] + "/realtime"
        with pytest.raises(InvalidStatus):
            async with connect(url, additional_headers={"api-key": "k"}, proxy=None):
                pass


async def test_people_get_lines_to_copy(scenario: str):
    async with simulate("--scenario", scenario) as process:
        text = await first_line(process)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        text += (await process.stdout.read()).decode()
        assert await process.wait() == 0
    assert "export OPENAI_BASE_URL=http://127.0.0.1:" in text
    assert "SSL_CERT_FILE=" in text


async def failed(*arguments: str) -> tuple[int | None, str]:
    async with simulate(*arguments) as process, asyncio.timeout(20):
        _, error = await process.communicate()
        return process.returncode, " ".join(error.decode().split())


async def test_a_scenario_that_cannot_be_read_is_the_callers_fault(tmp_path: Path):
    path = tmp_path / "bad.toml"
    path.write_text("[[turns]]\nsays = 1\n")
    code, error = await failed("--scenario", str(path))
    assert code == 2
    assert "bad.toml" in error


async def test_other_computers_are_let_in_on_request_only(scenario: str):
    code, error = await failed("--scenario", scenario, "--host", "0.0.0.0")  # noqa: S104
    assert code == 2
    assert "allow_remote" in error


async def test_a_taken_port_is_said(scenario: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, error = await failed("--scenario", scenario, "--port", port)
    assert code == 1
    assert port in error
