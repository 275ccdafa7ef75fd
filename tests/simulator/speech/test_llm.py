import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime_facade.errors import ConfigurationError
from realtime_facade.simulator.parts import Call, Message, Say, ToolOutput
from realtime_facade.simulator.speech.chat_server import ChatServer
from realtime_facade.tools.definition import ToolDefinition

pytest.importorskip("openai")

from realtime_facade.simulator.speech.llm import ChatMind

QUESTION = [Message("user", "what is the weather in paris")]


class Server:
    """Speaks chat completions over HTTP on the loopback interface."""

    def __init__(self, reply: Any, status: int = 200) -> None:
        self.reply = reply
        self.status = status
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((first, headers, json.loads(body) if body else None))
                reply = {"data": [{"id": "first"}]} if "/models" in first else self.reply
                content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % (self.status, len(content))
                    + content
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed the connection, as it should
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0.01)


def reply(content: str | None = None, *calls: tuple[str, str]) -> dict[str, Any]:
    tool_calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls or None}
    return {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}


async def test_an_answer_is_spoken(tools: dict[str, ToolDefinition]):
    async with Server(reply("It is sunny. ")).running() as server:
        mind = ChatMind(ChatServer(server.url, "small", "secret"))
        assert await mind.answer(QUESTION, tuple(tools.values()), "Be kind.") == [
            Say("It is sunny.")
        ]
    [(first, headers, body)] = server.requests
    assert first.startswith("POST /v1/chat/completions")
    assert headers["authorization"] == "bearer secret"
    assert body["model"] == "small"
    assert body["messages"][0]["content"].startswith("Be kind.")
    assert body["messages"][1:] == [{"role": "user", "content": QUESTION[0].text}]
    assert {tool["function"]["name"] for tool in body["tools"]} == set(tools)


async def test_calls_are_made(tools: dict[str, ToolDefinition]):
    calls = [("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Rome"}')]
    async with Server(reply("Let me see.", *calls)).running() as server:
        steps = await ChatMind(ChatServer(server.url, "m")).answer(
            QUESTION, tuple(tools.values()), ""
        )
    assert steps == [
        Say("Let me see."),
        Call("get_weather", {"city": "Paris"}),
        Call("get_weather", {"city": "Rome"}),
    ]


async def test_tool_outputs_follow_the_calls_that_they_answer():
    outputs = [ToolOutput("get_weather", {"city": c}, "sunny") for c in ("Paris", "Rome")]
    async with Server(reply("Both sunny.")).running() as server:
        await ChatMind(ChatServer(server.url, "m")).answer([*QUESTION, *outputs], (), "")
    _, _, body = server.requests[0]
    _, _, asked, *answered = body["messages"]
    assert [call["id"] for call in asked["tool_calls"]] == [a["tool_call_id"] for a in answered]
    assert "tools" not in body


async def test_without_a_model_the_first_of_the_server_is_used_and_remembered():
    async with Server(reply("Yes.")).running() as server:
        mind = ChatMind(ChatServer(server.url))
        await mind.answer(QUESTION, (), "")
        await mind.answer(QUESTION, (), "")
    assert [first.split()[1] for first, *_ in server.requests] == [
        "/v1/models",
        "/v1/chat/completions",
        "/v1/chat/completions",
    ]
    assert server.requests[-1][2]["model"] == "first"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"error": {"message": "boom"}}, 500, "answered with status 500"),
        ({"error": {"message": "who are you"}}, 401, "refused the key"),
        (b"{not json", 200, "made no sense"),
        (b"[1]", 200, "made no sense"),
        ({"choices": []}, 200, "made no sense"),
        ({"choices": None}, 200, "made no sense"),
        (reply(None, ("get_weather", "{broken")), 200, "made no sense"),
        (reply(None, ("get_weather", "[1]")), 200, "made no sense"),
        (reply(""), 200, "had no answer"),
    ],
)
async def test_what_goes_wrong_is_said(
    answer: Any, status: int, said: str, caplog: pytest.LogCaptureFixture
):
    async with Server(answer, status).running() as server:
        with caplog.at_level(logging.WARNING):
            mind = ChatMind(ChatServer(server.url, "m", "very-secret"))
            [step] = await mind.answer(QUESTION, (), "")
    assert isinstance(step, Say)
    assert said in step.text
    assert bool(caplog.records) is (said != "had no answer")
    assert "very-secret" not in caplog.text


async def test_a_server_that_is_not_there_is_said(caplog: pytest.LogCaptureFixture):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    [step] = await ChatMind(ChatServer(url, "m")).answer(QUESTION, (), "")
    assert step == Say("I am sorry, I cannot think right now: the chat server cannot be reached.")
    assert caplog.records


def test_the_environment_says_where_the_server_is(monkeypatch: pytest.MonkeyPatch):
    assert ChatServer.find() is None
    monkeypatch.setenv("REALTIME_FACADE_LLM_URL", "http://one/v1")
    monkeypatch.setenv("REALTIME_FACADE_LLM_MODEL", "small")
    monkeypatch.setenv("REALTIME_FACADE_LLM_KEY", "secret")
    assert ChatServer.find() == ChatServer("http://one/v1", "small", "secret")
    assert ChatServer.find("http://two/v1") == ChatServer("http://two/v1", "small", "secret")
    assert "secret" not in repr(ChatServer.find())


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="not an HTTP address"):
        ChatServer.find("localhost:11434")
