import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_facade import OpenAIProvider, RealtimeConfig
from realtime_facade.errors import (
    ConfigurationError,
    MissingExtra,
    RealtimeError,
    ToolFailed,
)
from realtime_facade.providers.gemini import setup
from realtime_facade.providers.openai import session_config
from realtime_facade.tools.mcp import mcp_tools
from realtime_facade.tools.registry import Tools
from realtime_facade.tools.run import run_tool

pytest.importorskip("mcp")

from google.genai import types
from openai.types.realtime import realtime_function_tool

SERVER = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]


async def run(tools: Tools, name: str, **arguments: Any) -> Any:
    tool = tools.function(name)
    assert tool is not None
    async with asyncio.timeout(10):
        return await run_tool(tool, arguments)


@asynccontextmanager
async def http_server() -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *SERVER, str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_programs_tools_run_and_their_results_are_words():
    async with mcp_tools(SERVER) as tools:
        assert await run(tools, "forecast", place={"city": "Paris"}, days=2) == (
            '{\n  "city": "Paris",\n  "days": 2,\n  "unit": null\n}'
        )
        assert await run(tools, "ping") == '{"result":null}'
        assert await run(tools, "structured") == '{"n":1}'
        assert await run(tools, "show_everything") == (
            "words\n"
            "(an image of type image/png, which cannot be used here)\n"
            "(an audio of type audio/wav, which cannot be used here)\n"
            "(b: file:///b.txt)\n"
            "page"
        )
        with pytest.raises(ToolFailed, match="the oven is cold"):
            await run(tools, "fail")
        with pytest.raises(ToolFailed, match="valid integer"):
            await run(tools, "forecast", place={"city": "Paris"}, days="many")
    with pytest.raises(ToolFailed, match="ping is no longer there"):
        await run(tools, "ping")


async def test_its_schemas_reach_both_providers_as_they_are():
    async with mcp_tools(SERVER, prefix="x_") as tools:
        [definition] = [d for d in tools.definitions() if d.name == "x_forecast"]
        [empty] = [d for d in tools.definitions() if d.name == "x_ping"]
    assert definition.description == "Foretell the weather."
    assert definition.parameters["required"] == ["place"]
    assert definition.parameters["$defs"]["Place"]["properties"]["city"]["description"]
    assert empty.parameters["properties"] == {}
    config = RealtimeConfig()
    profile = OpenAIProvider(api_key="k").profile(config)
    session = session_config.plan(config, profile, (definition, empty)).session
    realtime_function_tool.RealtimeFunctionTool.model_validate(session["tools"][0], strict=True)
    assert session["tools"][0]["parameters"] == definition.parameters
    [gemini] = setup.tool_list(config, (definition, empty))
    types.Tool.model_validate(gemini)
    assert gemini["functionDeclarations"][0]["parametersJsonSchema"] == definition.parameters
    assert gemini["functionDeclarations"][1].keys() == {"name", "description"}


async def test_a_call_that_is_given_up_ends_at_the_server_and_the_others_go_on():
    async with mcp_tools(SERVER) as tools:
        hanging = asyncio.create_task(run(tools, "hang"))
        await run(tools, "ping")
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert await run(tools, "count_cancelled") == "1"


async def test_a_server_that_dies_is_an_error_for_this_call_and_all_later_ones():
    async with mcp_tools(SERVER) as tools:
        hanging = asyncio.create_task(run(tools, "hang"))
        with pytest.raises(ToolFailed, match="die failed: Connection closed"):
            await run(tools, "die")
        with pytest.raises(ToolFailed, match="hang failed"):
            await hanging
        with pytest.raises(ToolFailed, match="ping failed"):
            await run(tools, "ping")


async def test_a_server_over_http():
    async with (
        http_server() as (url, process),
        mcp_tools(url=url, headers={"Authorization": "Bearer x"}) as tools,
    ):
        assert "Paris" in await run(tools, "forecast", place={"city": "Paris"})
        hanging = asyncio.create_task(run(tools, "hang"))
        await run(tools, "ping")
        process.kill()
        with pytest.raises(ToolFailed, match="hang failed"):
            await hanging
        with pytest.raises(ToolFailed, match="ping failed"):
            await run(tools, "ping")


async def test_no_such_program():
    with pytest.raises(ConfigurationError, match="the MCP server no-such-program cannot be"):
        async with mcp_tools(["no-such-program", "--key", "sesame"]):
            pass


async def test_a_program_that_speaks_something_else():
    with pytest.raises(RealtimeError, match="cannot be used: Connection closed") as caught:
        async with mcp_tools([sys.executable, "-c", "pass"]):
            pass
    assert caught.value.retryable


async def test_nobody_listens():
    with pytest.raises(RealtimeError, match=r"the MCP server http://127.0.0.1:9/mcp cannot"):
        async with mcp_tools(url="http://user:sesame@127.0.0.1:9/mcp?key=sesame"):
            pass


SILENT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


async def test_a_program_that_says_nothing():
    with pytest.raises(RealtimeError, match=r"did not start within 0.2 s"):
        async with mcp_tools(SILENT, timeout_s=0.2):
            pass


async def test_whoever_waits_for_the_start_can_give_it_up():
    async def open_it() -> None:
        async with mcp_tools(SILENT):
            pass

    opening = asyncio.create_task(open_it())
    await asyncio.sleep(0.1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


@pytest.mark.parametrize("how", [{}, {"command": []}, {"command": SERVER, "url": "http://x"}])
async def test_one_way_to_reach_it(how: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="one way"):
        async with mcp_tools(**how):
            pass


async def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[mcp\]"):
        async with mcp_tools(SERVER):
            pass
