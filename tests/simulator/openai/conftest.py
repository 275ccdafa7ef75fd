"""A simulator of the OpenAI wire, a plain client for it, and a user's voice."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

KEY = {"Authorization": "Bearer test"}
SILENCE_S = 0.8

Message = dict[str, Any]


class Client:
    """Speaks JSON over a plain WebSocket and remembers everything it received."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[Message] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> Message:
        message: Message = json.loads(await self.connection.recv())
        self.received.append(message)
        return message

    async def until(self, kind: str, count: int = 1) -> list[Message]:
        """Everything up to the `count`-th message of a type."""
        messages: list[Message] = []
        while count:
            messages.append(await self.next())
            count -= messages[-1]["type"] == kind
        return messages

    async def one(self, kind: str) -> Message:
        return (await self.until(kind))[-1]

    async def configure(self, **session: Any) -> Message:
        await self.send("session.update", session={"type": "realtime", **session})
        return await self.next()

    async def write(self, text: str) -> None:
        """A message of the user."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)

    async def speak(self, audio: bytes) -> None:
        """Microphone audio, 20 ms at a time, as fast as it goes."""
        for start in range(0, len(audio), 960):
            piece = base64.b64encode(audio[start : start + 960]).decode()
            await self.send("input_audio_buffer.append", audio=piece)


Dial = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def dial() -> Dial:
    """Start a simulator, connect and read `session.created`; yields the client."""

    @asynccontextmanager
    async def dial(
        scenario: str = "", *, path: str = "/v1/realtime?model=gpt-realtime", **options: Any
    ) -> AsyncIterator[Client]:
        options = {"speed": 0, "seed": 1} | options
        async with (
            Simulator(scenario=Scenario.parse(scenario), **options) as simulator,
            connect(
                simulator.openai_url.removesuffix("/v1") + path,
                additional_headers=KEY,
                proxy=None,
                compression=None,
                max_queue=None,
            ) as connection,
        ):
            client = Client(connection)
            await client.one("session.created")
            yield client

    return dial


@pytest.fixture(scope="session")
def speech() -> bytes:
    """About 2 s of a user at 24 kHz, between silences long enough for any turn detection."""
    import asyncio

    async def collect() -> bytes:
        return b"".join([pcm async for pcm in BabbleVoice("user").speak("Please tell me a story")])

    silence = bytes(round(24_000 * SILENCE_S) * 2)
    return silence + asyncio.run(collect()) + silence


@pytest.fixture(scope="session")
def kinds() -> Callable[[list[Message]], list[str]]:
    """Types in order, runs of the same delta as one."""

    def kinds(messages: list[Message]) -> list[str]:
        found: list[str] = []
        for message in messages:
            kind = message["type"]
            if not (kind.endswith("delta") and kind in found):
                found.append(kind)
        return found

    return kinds
