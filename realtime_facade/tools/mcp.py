"""Tools of MCP servers: programs and services that describe what they can do by themselves."""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_json

from ..errors import ConfigurationError, MissingExtra, RealtimeError, ToolFailed
from ..redaction import address
from .definition import ToolDefinition
from .function import FunctionTool
from .registry import Tools
from .schema import drop_titles

if TYPE_CHECKING:
    from mcp import Client, Tool
    from mcp_types import CallToolResult, ContentBlock

logger = logging.getLogger("realtime_facade")

MAX_PAGES = 100
"""A server that lists its tools without an end is not followed further."""

_UNUSABLE = re.compile(r"[^a-zA-Z0-9_-]")
"""In the names of tools: MCP allows more than models do."""


@asynccontextmanager
async def mcp_tools(
    command: Sequence[str] | None = None,
    *,
    url: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, str] | None = None,
    prefix: str = "",
    timeout_s: float = 30.0,
) -> AsyncIterator[Tools]:
    """The tools of an MCP server, as long as the context is open (extra `mcp`).

        async with mcp_tools(["uvx", "mcp-server-time"]) as clock:
            await RealtimeAgent(tools=[clock]).run()

    Args:
        command: Starts a server that speaks over its standard input and output; it is stopped in
            the end. What it writes to its standard error is shown.
        url: Instead: where a server for streamable HTTP is.
        env: For the program, beside a few harmless variables such as `PATH`.
        cwd: Where the program starts.
        headers: For HTTP, such as `Authorization`.
        prefix: Before each tool's name, where two servers have tools of the same name.
        timeout_s: For the start. A call lasts as long as any tool may.

    The tools are those that the server lists at the start. When it dies, they answer the model
    with an error from then on.

    Raises:
        MissingExtra: If the package `mcp` is not installed.
        ConfigurationError: If there is not one of `command` and `url`, or no such program.
        RealtimeError: If the server does not start or does not speak MCP (retryable).
    """
    try:
        # It takes most of a second, in which a running conversation would stand still.
        await asyncio.to_thread(import_module, "mcp")
    except ImportError as error:
        raise MissingExtra("mcp_tools", "mcp", "mcp") from error
    connection = _transport(command, url, env, cwd, headers)
    # Of a command only the program: its arguments may hold keys.
    name = Path(command[0]).name if command else address(url or "")
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[tuple[Client, list[Tool]]] = loop.create_future()
    leave = asyncio.Event()
    # In a task of its own: a server that breaks must not cancel whoever wrote `async with`.
    holder = asyncio.create_task(
        _hold(connection, f"the MCP server {name}", timeout_s, opened, leave), name=f"mcp {name}"
    )
    try:
        client, listed = await opened
        tools = Tools()
        for tool in listed:
            tools.add(_entry(client, tool, prefix, leave))
        yield tools
    finally:
        leave.set()
        if not opened.done():
            opened.cancel()
        await asyncio.wait([holder])


def _transport(
    command: Sequence[str] | None,
    url: str | None,
    env: Mapping[str, str] | None,
    cwd: str | Path | None,
    headers: Mapping[str, str] | None,
) -> AbstractAsyncContextManager[Any]:
    from mcp import StdioServerParameters, stdio_client

    if command and url is None:
        program, *arguments = command
        return stdio_client(
            StdioServerParameters(
                command=program, args=arguments, env=dict(env) if env else None, cwd=cwd
            )
        )
    if url is not None and not command:
        return _http(url, headers)
    raise ConfigurationError(
        "an MCP server is reached in one way",
        advice="give either command=[program, ...] or url=",
    )


@asynccontextmanager
async def _http(url: str, headers: Mapping[str, str] | None) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    # Answers may stream for as long as a tool works; the session has a time limit for that.
    timeout = httpx2.Timeout(30.0, read=None)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


async def _hold(
    connection: AbstractAsyncContextManager[Any],
    name: str,
    timeout_s: float,
    opened: "asyncio.Future[tuple[Client, list[Tool]]]",
    leave: asyncio.Event,
) -> None:
    """Keep a connection open until `leave` is set; never raises."""
    import anyio
    from mcp import Client

    with anyio.CancelScope(deadline=anyio.current_time() + timeout_s) as scope:
        opened.add_done_callback(lambda _: scope.cancel() if opened.cancelled() else None)
        try:
            async with Client(connection) as client:
                listed = await _list(client)
                scope.deadline = math.inf
                if not opened.done():
                    opened.set_result((client, listed))
                await leave.wait()
        except Exception as error:  # noqa: BLE001 - told to whoever opens it, or logged
            if opened.done():
                logger.warning("%s did not end well: %r", name, _first(error))
            else:
                opened.set_exception(_not_started(name, _first(error)))
    if not opened.done():
        opened.set_exception(
            RealtimeError(
                f"{name} did not start within {timeout_s:g} s",
                cause="network",
                retryable=True,
                advice="look at what it writes to its standard error, or raise timeout_s",
            )
        )


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _not_started(name: str, error: BaseException) -> RealtimeError:
    if isinstance(error, OSError):
        wrong: RealtimeError = ConfigurationError(
            f"{name} cannot be started: {error.strerror or error}",
            advice="check the command and its folder",
        )
    else:
        wrong = RealtimeError(
            f"{name} cannot be used: {error}",
            cause="network",
            retryable=True,
            advice="check that it runs and speaks MCP over this transport",
        )
    wrong.__cause__ = error
    return wrong


async def _list(client: "Client") -> "list[Tool]":
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _entry(client: "Client", tool: "Tool", prefix: str, leave: asyncio.Event) -> FunctionTool:
    from mcp import MCPError

    async def call(**arguments: Any) -> str:
        if leave.is_set():
            raise ToolFailed(f"{tool.name} is no longer there", code="mcp")
        try:
            result = await client.call_tool(tool.name, arguments)
        except (MCPError, RuntimeError, ValidationError) as error:
            # RuntimeError: the result does not fit the schema that the server itself gave.
            raise ToolFailed(f"{tool.name} failed: {error}", code="mcp") from error
        words = _words(result)
        if result.is_error:
            raise ToolFailed(words or f"{tool.name} failed", code="mcp")
        return words

    # Neither the dialect nor the titles tell a model anything.
    schema = {key: value for key, value in tool.input_schema.items() if key != "$schema"}
    drop_titles(schema)
    return FunctionTool(
        definition=ToolDefinition(
            name=_UNUSABLE.sub("_", prefix + tool.name)[:64],
            description=tool.description or tool.title or "",
            parameters={"properties": {}, **schema},
        ),
        function=call,
    )


def _words(result: "CallToolResult") -> str:
    """What a model that hears and speaks can use of a result."""
    parts = [_part(content) for content in result.content]
    if not parts and result.structured_content is not None:
        return to_json(result.structured_content).decode()
    return "\n".join(parts)


def _part(content: "ContentBlock") -> str:
    match content.type:
        case "text":
            return content.text
        case "image" | "audio":
            return f"(an {content.type} of type {content.mime_type}, which cannot be used here)"
        case "resource_link":
            return f"({content.name}: {content.uri})"
        case "resource":
            text = getattr(content.resource, "text", None)
            return text if text is not None else f"(the file {content.resource.uri})"
