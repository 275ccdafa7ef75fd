"""A simulated Gemini service with fast time, and a client of it that hides nothing."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_facade.audio.resample import Resampler
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

MODELS = {
    "2.5-native": "models/gemini-2.5-flash-native-audio-latest",
    "3.1": "models/gemini-3.1-flash-live-preview",
    "3.8": "models/gemini-3.8-live",
    "3.8-extended-thinking": "models/gemini-3.8-live-extended-thinking",
}
METHOD = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
FASTER = 10


class Client:
    """Speaks raw JSON. Everything received stays in `seen`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []

    @staticmethod
    def names(message: dict[str, Any]) -> list[str]:
        """What a message is about: `serverContent` is named by what is in it."""
        return [*(n for n in message if n != "serverContent"), *message.get("serverContent", {})]

    @property
    def named(self) -> list[str]:
        """The names of everything received."""
        return [name for message in self.seen for name in self.names(message)]

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        # Not wait_for: on Python 3.11 it can swallow the cancellation that ends `quiet`.
        async with asyncio.timeout(10):
            frame = await self.connection.recv()
        assert isinstance(frame, bytes), "the service sends binary frames"
        message: dict[str, Any] = json.loads(frame)
        self.seen.append(message)
        return message

    async def until(self, *wanted: str) -> list[dict[str, Any]]:
        """The messages up to and including the first that is about one of `wanted`."""
        found = []
        while not found or not set(wanted) & set(self.names(found[-1])):
            found.append(await self.receive())
        return found

    async def quiet(self, seconds: float = 0.1) -> list[dict[str, Any]]:
        """What else comes within a short time."""
        before = len(self.seen)
        try:
            async with asyncio.timeout(seconds):
                await self._read_on()
        except TimeoutError:
            return self.seen[before:]

    async def closing(self) -> tuple[int, str]:
        """Read to the end; the close code and reason."""
        with pytest.raises(ConnectionClosed) as closed:
            await self._read_on()
        assert closed.value.rcvd is not None, "the connection broke without a closing handshake"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def _read_on(self) -> None:
        while True:
            await self.receive()

    async def write(self, text: str) -> None:
        """A turn of the user in writing."""
        turn = {"role": "user", "parts": [{"text": text}]}
        await self.send(clientContent={"turns": [turn], "turnComplete": True})

    async def speak(self, pcm: bytes, *, rate: int = 16_000, piece_ms: int = 40) -> None:
        """Audio, as fast as it goes."""
        size = rate * piece_ms // 1000 * 2
        for start in range(0, len(pcm), size):
            data = base64.b64encode(pcm[start : start + size]).decode()
            await self.send(
                realtimeInput={"audio": {"mimeType": f"audio/pcm;rate={rate}", "data": data}}
            )

    async def answer(self, message: dict[str, Any], output: str, **more: Any) -> None:
        """Respond to all calls of a `toolCall` message."""
        responses = [
            {"id": call["id"], "name": call["name"], "response": {"output": output}, **more}
            for call in message["toolCall"]["functionCalls"]
        ]
        await self.send(toolResponse={"functionResponses": responses})


class Rig:
    """Starts simulators and connects clients to them; all of it ends with the test."""

    models = MODELS
    method = METHOD

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.simulator: Simulator

    @staticmethod
    def setup(family: str, **more: Any) -> dict[str, Any]:
        """A setup that this family accepts."""
        generation: dict[str, Any] = {"responseModalities": ["AUDIO"]}
        if family == "3.8-extended-thinking":
            generation["thinkingConfig"] = {"thinkingLevel": "LOW"}
        generation |= more.pop("generationConfig", {})
        return {
            "model": MODELS[family],
            "generationConfig": generation,
            "outputAudioTranscription": {},
            **more,
        }

    @staticmethod
    def function(name: str, **more: Any) -> dict[str, Any]:
        """A declaration of a function with one argument."""
        place = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
        return {"name": name, "description": "d", "parameters": place, **more}

    @staticmethod
    def tools(*declarations: dict[str, Any]) -> Sequence[dict[str, Any]]:
        """The `tools` of a setup."""
        return [{"functionDeclarations": list(declarations)}]

    async def start(self, scenario: str = "", **options: Any) -> Self:
        """Run a scenario, ten times faster than time goes."""
        options = {
            "clock": ScaledClock(FASTER),
            "seed": 1,
            "wires": ("gemini", "gemini_tls"),
        } | options
        simulator = Simulator(scenario=Scenario.parse(scenario), **options)
        self.simulator = await self._stack.enter_async_context(simulator)
        return self

    async def dial(self, path: str = METHOD, *, headers: dict[str, str] | None = None) -> Client:
        """A connection without a setup."""
        url = self.simulator.gemini_plain_url + path
        headers = {"x-goog-api-key": "k"} if headers is None else headers
        # Closing with a full queue of unread messages would wait 10 s for a reader.
        connection = connect(
            url, additional_headers=headers, proxy=None, compression=None, max_queue=None
        )
        return Client(await self._stack.enter_async_context(connection))

    async def connect(self, family: str, **more: Any) -> Client:
        """A connection whose setup was accepted."""
        client = await self.dial()
        await client.send(setup=self.setup(family, **more))
        await client.until("setupComplete")
        return client


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield Rig(stack)


@pytest.fixture(scope="session")
def speech() -> Callable[..., Awaitable[bytes]]:
    """Makes what a user says: mono s16le at 16 kHz, by default with 0.8 s of silence after it."""

    async def make(text: str = "what is it like outside", silence_ms: int = 800) -> bytes:
        resampler = Resampler(BabbleVoice.sample_rate, 16_000)
        pcm = b"".join([resampler.push(pcm) async for pcm in BabbleVoice().speak(text)])
        return bytes(6400) + pcm + resampler.flush() + bytes(silence_ms * 32)

    return make
