"""A plain client for either wire, so that one test says what holds on both."""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_facade.audio.resample import resample
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

Message = dict[str, Any]

TALK = """
[[turns]]
when = "weather"
steps = [{ call = "look", arguments = { city = "Oslo" } }, { say = "They say {output}." }]

[[turns]]
heard = "good morning"
when = "morning"
steps = [{ say = "Good morning to you, and to everybody who is listening to us today." }]
"""


class Caller(ABC):
    """One connection to a simulator. What comes is told by `events` in words of no provider."""

    wire: ClassVar[str]
    user_words: ClassVar[str]
    """The message with the user's transcript."""
    acknowledged: ClassVar[str]
    """The message that accepts the configuration."""
    ended: ClassVar[str]
    """The message with which an answer is over."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[str] = []
        """What came, as `events` tells it."""
        self.messages: list[Message] = []
        self.broken = 0
        """Frames that were not JSON."""
        self.cause: BaseException | None = None
        """Why the connection broke, after `ending`."""

    @staticmethod
    @abstractmethod
    def address(simulator: Simulator) -> tuple[str, dict[str, str]]:
        """Where to dial, and with which headers."""

    @abstractmethod
    async def configure(self, **more: Any) -> None:
        """Send the configuration."""

    @abstractmethod
    async def write(self, text: str) -> None:
        """A turn of the user, in writing."""

    @abstractmethod
    async def hear(self, pcm: bytes) -> None:
        """Microphone audio at 16 kHz."""

    @abstractmethod
    async def answer(self, output: str) -> None:
        """Respond to the last call and ask to go on."""

    @staticmethod
    @abstractmethod
    def about(message: Message) -> str:
        """The provider's own name for a message."""

    @abstractmethod
    def events(self, message: Message) -> list[str]:
        """`ready`, `speech`, `chunk`, `call`, `done`, `words`, `error`, `warning`, or nothing."""

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def read(self) -> Message | None:
        async with asyncio.timeout(5):
            frame = await self.connection.recv()
        try:
            message: Message = json.loads(frame)
        except json.JSONDecodeError:
            self.broken += 1
            return None
        self.messages.append(message)
        self.seen += self.events(message)
        return message

    async def until(self, event: str, count: int = 1) -> None:
        """Read on until it was seen so often, from now on."""
        wanted = self.seen.count(event) + count
        while self.seen.count(event) < wanted:
            await self.read()

    async def ready(self) -> None:
        """Configure, and wait until that is accepted."""
        await self.configure()
        await self.until("ready")

    async def ending(self) -> tuple[int | None, str]:
        """Read to the end: the close code and reason; code None if the connection broke."""
        while True:
            try:
                await self.read()
            except ConnectionClosed as closed:
                self.cause = closed.__cause__
                return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")

    async def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes for a short time."""
        try:
            async with asyncio.timeout(seconds):
                await self.read()
        except TimeoutError:
            return True
        return False


class OpenAICaller(Caller):
    wire = "openai"
    user_words = "conversation.item.input_audio_transcription.completed"
    acknowledged = "session.updated"
    ended = "response.done"

    @staticmethod
    def address(simulator: Simulator) -> tuple[str, dict[str, str]]:
        url = simulator.openai_url + "/realtime?model=gpt-realtime"
        return url, {"Authorization": "Bearer sk-test"}

    async def configure(self, **more: Any) -> None:
        tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
        sound = {"input": {"transcription": {"model": "whisper-1"}}}
        session = {"type": "realtime", "tools": [tool], "audio": sound, **more}
        await self.send(type="session.update", session=session)

    async def write(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send(type="conversation.item.create", item=item)
        await self.send(type="response.create")

    async def hear(self, pcm: bytes) -> None:
        pcm = resample(pcm, 16_000, 24_000)
        for start in range(0, len(pcm), 1920):
            audio = base64.b64encode(pcm[start : start + 1920]).decode()
            await self.send(type="input_audio_buffer.append", audio=audio)

    async def answer(self, output: str) -> None:
        call = next(m for m in reversed(self.messages) if m["type"].endswith("call_arguments.done"))
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await self.send(type="conversation.item.create", item=item)
        await self.send(type="response.create")

    @staticmethod
    def about(message: Message) -> str:
        return str(message["type"])

    def events(self, message: Message) -> list[str]:
        match message["type"]:
            case "session.updated":
                return ["ready"]
            case "input_audio_buffer.speech_started":
                return ["speech"]
            case "response.output_audio.delta":
                return ["chunk"]
            case "conversation.item.input_audio_transcription.completed":
                return ["words"]
            case "error":
                return ["error"]
            case "response.done":
                calls = any(i["type"] == "function_call" for i in message["response"]["output"])
                return ["call" if calls else "done"]
            case _:
                return []


class GeminiCaller(Caller):
    wire = "gemini"
    user_words = "inputTranscription"
    acknowledged = "setupComplete"
    ended = "turnComplete"
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    model = "models/gemini-2.5-flash-native-audio-preview-12-2025"

    @classmethod
    def address(cls, simulator: Simulator) -> tuple[str, dict[str, str]]:
        return simulator.gemini_plain_url + cls.path, {"x-goog-api-key": "k"}

    async def configure(self, **more: Any) -> None:
        await self.send(
            setup={
                "model": self.model,
                "generationConfig": {"responseModalities": ["AUDIO"]},
                "tools": [{"functionDeclarations": [{"name": "look", "description": "d"}]}],
                "inputAudioTranscription": {},
                "outputAudioTranscription": {},
                "sessionResumption": {},
                **more,
            }
        )

    async def write(self, text: str) -> None:
        turn = {"role": "user", "parts": [{"text": text}]}
        await self.send(clientContent={"turns": [turn], "turnComplete": True})

    async def hear(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 1280):
            data = base64.b64encode(pcm[start : start + 1280]).decode()
            audio = {"mimeType": "audio/pcm;rate=16000", "data": data}
            await self.send(realtimeInput={"audio": audio})

    async def answer(self, output: str) -> None:
        call = next(m for m in reversed(self.messages) if "toolCall" in m)
        responses = [
            {"id": c["id"], "name": c["name"], "response": {"output": output}}
            for c in call["toolCall"]["functionCalls"]
        ]
        await self.send(toolResponse={"functionResponses": responses})

    @staticmethod
    def about(message: Message) -> str:
        return " ".join([*message, *message.get("serverContent", {})])

    def events(self, message: Message) -> list[str]:
        content = message.get("serverContent", {})
        told = {
            "ready": "setupComplete" in message,
            "words": "inputTranscription" in content,
            "chunk": "inlineData" in str(content.get("modelTurn")),
            "call": "toolCall" in message,
            "done": "turnComplete" in content,
            "warning": "goAway" in message,
        }
        return [name for name, came in told.items() if came]


Dial = Callable[[Simulator], AbstractAsyncContextManager[Caller]]


@pytest.fixture(params=[OpenAICaller, GeminiCaller], ids=lambda caller: caller.wire)
def caller(request: pytest.FixtureRequest) -> type[Caller]:
    """The client of one wire."""
    kind: type[Caller] = request.param
    return kind


@pytest.fixture
def simulator(caller: type[Caller]) -> Callable[..., Simulator]:
    """A simulator of that wire, to be entered; it answers as fast as it can."""

    def make(scenario: str = TALK, **options: Any) -> Simulator:
        options = {"speed": 0, "seed": 1, "wires": (caller.wire,)} | options
        return Simulator(scenario=Scenario.parse(scenario), **options)

    return make


@pytest.fixture
def call(caller: type[Caller]) -> Dial:
    """Dial: `async with call(simulator) as client`."""

    @asynccontextmanager
    async def call(simulator: Simulator) -> AsyncIterator[Caller]:
        url, headers = caller.address(simulator)
        async with connect(
            url,
            additional_headers=headers,
            proxy=None,
            compression=None,
            max_size=None,
            max_queue=None,
            close_timeout=0.2,
        ) as connection:
            yield caller(connection)

    return call


@pytest.fixture(scope="session")
def utterance() -> bytes:
    """A user who says something, at 16 kHz, with silence around it."""

    async def collect() -> bytes:
        return b"".join([pcm async for pcm in BabbleVoice("user").speak("Good morning to you")])

    silence = bytes(2 * 16_000)
    return silence[:8_000] + resample(asyncio.run(collect()), 24_000, 16_000) + silence
