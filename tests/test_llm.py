import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from realtime_facade import OpenAIProvider, RealtimeConfig, RealtimeVoice, Supervisor, TurnEnded
from realtime_facade.errors import (
    ConfigurationError,
    MissingExtra,
    RealtimeConnectionError,
    RealtimeError,
)
from realtime_facade.llm import ChatMessage, ChatModel, ChatOpenAI, ChatToolCall
from realtime_facade.redaction import SECRET
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator
from realtime_facade.tools.definition import ToolDefinition

pytest.importorskip("openai")

WEATHER = ToolDefinition(
    name="get_weather",
    description="Get the weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
ASKED = [ChatMessage("system", "Be brief."), ChatMessage("user", "Weather?")]
KEY = "sesame-1234567890"


class Server:
    """Speaks chat completions on the loopback interface; the last reply is for all that follow."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: list[tuple[int, Any]] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.asked = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while nobody is connected."""
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.idle.clear()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (x.split(": ", 1) for x in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((first, headers, json.loads(body)))
            self.asked.set()
            status, reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if reply is None:  # silence, until the client gives up
                assert await reader.read() == b""
                return
            content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nRetry-After-Ms: 1\r\n"
                b"Content-Length: %d\r\n\r\n" % (status, len(content)) + content
            )
            await writer.drain()
            assert await reader.read() == b"", "the client holds no idle connection"
        finally:
            writer.close()
            self._open -= 1
            if not self._open:
                self.idle.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    yield server
    listening.close()
    if server.requests:
        await asyncio.wait_for(server.idle.wait(), 2)
    await listening.wait_closed()


def says(
    content: str | None = None, *calls: tuple[str, str, str], **more: Any
) -> tuple[int, dict[str, Any]]:
    tool_calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls or None, **more}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def model(server: Server, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI("small", base_url=server.url, api_key=KEY, **settings)


async def ask(
    server: Server, messages: Sequence[ChatMessage] = tuple(ASKED), **settings: Any
) -> ChatMessage:
    return await model(server, **settings).reply(messages, [WEATHER])


async def refusal(server: Server, **settings: Any) -> RealtimeError:
    with pytest.raises(RealtimeError) as caught:
        await ask(server, **settings)
    assert KEY not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
    return caught.value


async def test_words_come_back(server: Server):
    server.replies = [says("Sunny.")]
    assert await ask(server, options={"temperature": 0, "new_setting": "x"}) == ChatMessage(
        "assistant", "Sunny."
    )
    [(first, headers, body)] = server.requests
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "small",
        "temperature": 0,
        "new_setting": "x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Get the weather.",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
            }
        ],
    }


async def test_without_tools_none_are_mentioned(server: Server):
    server.replies = [says("Hello.")]
    await model(server).reply(ASKED, [])
    assert "tools" not in server.requests[0][2]


async def test_tool_calls_make_a_round_trip(server: Server):
    server.replies = [says(None, ("a", "get_weather", '{"city": "Paris"}'), ("b", "other", "{}"))]
    answer = await ask(server)
    assert answer == ChatMessage(
        "assistant",
        "",
        (ChatToolCall("a", "get_weather", '{"city": "Paris"}'), ChatToolCall("b", "other", "{}")),
    )
    server.replies = [says("Done.")]
    outputs = [ChatMessage("tool", "sunny", call_id="a"), ChatMessage("tool", "no", call_id="b")]
    await ask(server, [*ASKED, answer, *outputs])
    assert server.requests[1][2]["messages"][2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                },
                {"id": "b", "type": "function", "function": {"name": "other", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "a"},
        {"role": "tool", "content": "no", "tool_call_id": "b"},
    ]


@pytest.mark.parametrize("nonsense", ['{"city": "Par', "[1]", "", "Paris"])
async def test_malformed_arguments_reach_the_caller_but_not_the_server(
    server: Server, nonsense: str
):
    server.replies = [says(None, ("a", "get_weather", nonsense))]
    answer = await ask(server)
    assert answer.tool_calls[0].arguments == nonsense
    await ask(server, [*ASKED, answer, ChatMessage("tool", "That was no JSON.", call_id="a")])
    sent = server.requests[1][2]["messages"][2]["tool_calls"][0]["function"]
    assert sent["arguments"] == "{}"


async def test_a_refusal_is_an_error(server: Server):
    server.replies = [says(None, refusal="I will not do that.")]
    error = await refusal(server)
    assert (error.cause, error.code, error.retryable) == ("policy", "refusal", False)
    assert "I will not do that." in error.message


async def test_filtered_words_are_an_error(server: Server):
    status, body = says("Part of")
    body["choices"][0]["finish_reason"] = "content_filter"
    server.replies = [(status, body)]
    assert (await refusal(server)).cause == "policy"


@pytest.mark.parametrize("body", [b"<html>", {}, {"choices": []}, {"choices": [{"message": 1}]}])
async def test_a_reply_without_sense_is_an_error(server: Server, body: Any):
    server.replies = [(200, body)]
    assert (await refusal(server)).cause == "provider"


@pytest.mark.parametrize(
    ("status", "error", "cause", "code"),
    [
        (401, {"message": f"Incorrect API key: {KEY}.", "code": None}, "authentication", "401"),
        (403, {"message": "Your country is not served."}, "authentication", "403"),
        (404, {"message": "No model small", "code": "model_not_found"}, "configuration", None),
        (400, {"message": "Bad tools"}, "configuration", "400"),
        (429, {"message": "Pay", "code": "insufficient_quota"}, "quota", "insufficient_quota"),
    ],
)
async def test_a_refused_request_says_who_has_to_act(
    server: Server, status: int, error: dict[str, Any], cause: str, code: str | None
):
    server.replies = [(status, {"error": error})]
    raised = await refusal(server, max_retries=0)
    assert isinstance(raised, RealtimeConnectionError)
    assert (raised.cause, raised.retryable) == (cause, False)
    assert raised.code == (code or error["code"])
    assert raised.advice
    assert error["message"].replace(KEY, SECRET) in raised.message


async def test_a_key_in_the_servers_words_is_not_in_the_traceback(server: Server):
    server.replies = [(401, KEY.encode())]
    error = await refusal(server)
    assert error.__suppress_context__
    assert error.__cause__ is None


async def test_rate_limits_and_failures_are_tried_again(server: Server):
    server.replies = [(429, {"error": {"message": "slow"}}), (500, b"oops"), says("At last.")]
    assert (await ask(server)).text == "At last."
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "cause"), [(429, "rate_limit"), (503, "provider")])
async def test_in_the_end_it_gives_up(server: Server, status: int, cause: str):
    server.replies = [(status, {"error": {"message": "no"}})]
    error = await refusal(server, max_retries=1)
    assert len(server.requests) == 2
    assert (error.cause, error.retryable) == (cause, True)


async def test_silence_ends_after_the_timeout(server: Server):
    server.replies = [(200, None)]
    error = await refusal(server, timeout_s=0.1, max_retries=0)
    assert (error.cause, error.retryable) == ("network", True)
    assert "in time" in error.message


async def test_a_cancelled_request_is_given_up_at_the_server(server: Server):
    server.replies = [(200, None)]
    asking = asyncio.create_task(ask(server))
    async with asyncio.timeout(2):
        await server.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.idle.wait()


async def test_nobody_there(server: Server):
    chat = ChatOpenAI("small", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(RealtimeConnectionError) as caught:
        await chat.reply(ASKED, [])
    assert caught.value.cause == "network"


def test_a_key_is_needed_for_the_providers_own_server(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        ChatOpenAI("small")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    chat = ChatOpenAI("small")
    assert isinstance(chat, ChatModel)
    assert repr(chat) == "ChatOpenAI('small')"


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[openai\]"):
        ChatOpenAI("small")


def test_importing_it_does_not_load_the_sdk():
    code = "import sys, realtime_facade.llm; print('openai' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "False"


async def test_it_is_what_a_supervisor_thinks_with(server: Server):
    async def find_tables(people: int) -> list[str]:
        """Find free tables."""
        return ["the window"] * people

    scenario = Scenario.parse(
        """
        [[turns]]
        steps = [
          { call = "supervisor", arguments = { task = "book a table for two" } },
          { say = "{output}" },
        ]
        """
    )
    server.replies = [
        says(None, ("a", "find_tables", '{"people": "two"}')),
        says(None, ("b", "find_tables", '{"people": 2}')),
        says(None, ("c", "done", '{"result": "The window is yours."}')),
    ]
    supervisor = Supervisor(
        description="Books tables.",
        instructions="Book carefully.",
        llm=model(server),
        tools=[find_tables],
    )
    async with Simulator(scenario=scenario, wires=("openai",), speed=0) as provider:
        voice = RealtimeVoice(
            OpenAIProvider(api_key="x", base_url=provider.openai_url),
            RealtimeConfig(tools=[supervisor]),
        )
        async with asyncio.timeout(10), voice.connect() as session:
            events = session.events()
            await session.send_text("A table for two, please.")
            async for event in events:
                if isinstance(event, TurnEnded):
                    break
    assert session.history.turns[-1].text == "The window is yours."
    bodies = [body for _, _, body in server.requests]
    assert [tool["function"]["name"] for tool in bodies[0]["tools"]] == [
        "find_tables",
        "done",
        "clarify",
    ]
    assert bodies[0]["messages"][0]["content"].startswith("Book carefully.")
    assert "User: A table for two, please." in bodies[0]["messages"][1]["content"]
    assert [m["content"] for m in bodies[2]["messages"] if m["role"] == "tool"] == [
        "wrong arguments for find_tables: people: Input should be a valid integer, unable to "
        "parse string as an integer",
        '["the window","the window"]',
    ]
