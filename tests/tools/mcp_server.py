"""A real MCP server: over stdio, or over HTTP at the port in its first argument."""

import asyncio
import base64
import logging
import os
import sys
from enum import StrEnum
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

server = MCPServer("test")
logging.disable()


class Unit(StrEnum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Place(BaseModel):
    city: str = Field(description="Name of the city")
    near: list["Place"] = []


@server.tool()
def forecast(place: Place, days: int = 1, unit: Unit | None = None) -> dict[str, Any]:
    """Foretell the weather."""
    return {"city": place.city, "days": days, "unit": unit}


@server.tool()
def ping() -> None:
    """Do nothing."""


@server.tool()
def fail() -> CallToolResult:
    return CallToolResult(content=[TextContent(text="the oven is cold")], is_error=True)


@server.tool(name="show.everything")
def everything() -> CallToolResult:
    data = base64.b64encode(b"x").decode()
    page = TextResourceContents(uri="file:///a.txt", text="page")
    return CallToolResult(
        content=[
            TextContent(text="words"),
            ImageContent(data=data, mime_type="image/png"),
            AudioContent(data=data, mime_type="audio/wav"),
            ResourceLink(name="b", uri="file:///b.txt"),
            EmbeddedResource(resource=page),
        ]
    )


@server.tool()
def structured() -> CallToolResult:
    return CallToolResult(content=[], structured_content={"n": 1})


@server.tool()
async def die() -> None:
    os._exit(3)


cancelled = 0


@server.tool()
async def hang() -> None:
    global cancelled
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        cancelled += 1
        raise


@server.tool()
def count_cancelled() -> int:
    return cancelled


if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
