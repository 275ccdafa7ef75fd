"""A provider without a network: a cassette answers as the recorded provider did."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

from pydantic_core import from_json
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ..config import RealtimeConfig
from ..errors import RealtimeConnectionError
from ..providers.base import NO_PAST, Codec, Endpoint, Frame, Past, Profile, Provider
from ..tools.definition import ToolDefinition
from ..transport.cassette import Closed, Opened, Received, Sent
from .cassette import Cassette, Numbered, frame_of, spoken

MISMATCH = 4000
"""Close code: the application does something else than was recorded."""
SLACK_BYTES = 19_200
"""300 ms of base64 audio at 24 kHz: resamplers differ in how much they hold back."""
SILENCE_S = 0.3
"""A microphone that has sent nothing for so long is taken to be off."""
_SOUND = {"input_audio_buffer.append", "realtimeInput.audio"}


class CassetteProvider(Provider):
    """Sends what was recorded as soon as the application has sent what was recorded before it.

    The application's frames are compared by their kind and order. Of microphone audio only the
    amount counts, and one that falls silent is not waited for. If something else comes, or nothing,
    the connection is closed with code 4000 and a reason that names the line of the cassette; it is
    in `mismatches`, too. One conversation at a time.

    Args:
        cassette: What to play. Each connection of a conversation gets the next recorded one.
        patience_s: How long the application may take for its next frame.
    """

    name: ClassVar[str] = "cassette"
    default_model: ClassVar[str] = ""
    models: ClassVar[tuple[str, ...]] = ()
    voices: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        cassette: Cassette,
        *,
        patience_s: float = 5.0,
    ) -> None:
        super().__init__()
        self.cassette = cassette
        self.mismatches: list[str] = []
        """What was not as recorded."""
        self._patience_s = patience_s
        self._spoken = spoken(cassette.opened)
        self._tracks = _by_connection(cassette.lines)
        self._next = 0

    @property
    def protocol(self) -> str:
        """That of the recorded provider."""
        return self._spoken.protocol

    def with_key(self, api_key: str | None, base_url: str | None) -> "CassetteProvider":
        """The same: there is no key and no address to choose."""
        return self

    def profile(self, config: RealtimeConfig) -> Profile:
        """That of the recorded provider, for the recorded model unless another is asked for."""
        opened = self.cassette.opened
        model = config.model or opened.model
        profile = self._spoken.profile(config.model_copy(update={"model": model}))
        return replace(profile, provider=opened.provider)

    def codec(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition],
        past: Past = NO_PAST,
    ) -> Codec:
        """That of the recorded provider."""
        if not past.connections:
            self._next = 0
        return self._spoken.codec(config, profile, tools, past)

    def endpoint(self, config: RealtimeConfig, profile: Profile) -> Endpoint:
        """Where `serving` would listen."""
        return Endpoint("ws://127.0.0.1")

    @asynccontextmanager
    async def serving(self, config: RealtimeConfig, profile: Profile) -> AsyncIterator[Endpoint]:
        """Listen on loopback for one connection."""
        track = self._tracks[min(self._next, len(self._tracks) - 1)]
        self._next += 1

        async def answer(connection: ServerConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                problem = await _Player(connection, track, self._patience_s).play()
                if problem is not None:
                    problem = f"{self.cassette.source}, {problem}"
                    self.mismatches.append(problem)
                    await connection.close(MISMATCH, _at_most(problem, 123))

        async with serve(
            answer, "127.0.0.1", 0, compression=None, max_size=None, max_queue=None
        ) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            yield Endpoint(f"ws://{host}:{port}")

    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        """As the recorded provider, but for what is not as recorded."""
        if code == MISMATCH:
            return RealtimeConnectionError(
                f"not as recorded: {reason}",
                code=str(code),
                provider=self.name,
                cause="application",
                advice="do what was recorded, or record again",
            )
        return self._spoken.explain_close(code, reason)

    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        """As the recorded provider."""
        return self._spoken.explain_refusal(status, body)


class _Player:
    """Plays one recorded connection to one client."""

    def __init__(
        self, connection: ServerConnection, track: Sequence[Numbered], patience_s: float
    ) -> None:
        self._connection = connection
        self._track = track
        self._patience_s = patience_s
        self._frames: deque[str] = deque()
        """Kinds of the frames that came and were not looked at."""
        self._heard = 0
        self._recorded = 0
        self._silent = False

    async def play(self) -> str | None:
        """Returns what is not as recorded, or None at the end of the connection."""
        for number, line in self._track:
            match line:
                case Received():
                    await self._connection.send(frame_of(line))
                case Sent():
                    kind, sound = _kind(frame_of(line))
                    if sound:
                        self._recorded += sound
                        await self._listen()
                    elif problem := await self._expect(number, kind):
                        return problem
                case Closed(by="provider", code=int() as code):
                    await self._connection.close(code, line.reason)
                    return None
                case Closed(by="network"):
                    self._connection.transport.abort()
                    return None
        while True:  # the application hangs up when it has what it wants
            await self._take()

    async def _listen(self) -> None:
        """Wait until as much of the microphone came as was recorded, or it is off."""
        while self._heard + SLACK_BYTES < self._recorded and not self._silent:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._take()
            except TimeoutError:
                self._silent = True
        if self._silent:
            # It does not owe what it did not send when it comes back.
            self._recorded = min(self._recorded, self._heard + SLACK_BYTES)

    async def _expect(self, number: int, kind: str) -> str | None:
        """The next frame that is no sound has to be of this kind; else what is wrong."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not self._frames:
                    await self._take()
        except TimeoutError:
            return f"line {number}: {kind} was recorded, nothing came in {self._patience_s:g} s"
        came = self._frames.popleft()
        return None if came == kind else f"line {number}: {kind} was recorded, {came} came"

    async def _take(self) -> None:
        kind, sound = _kind(await self._connection.recv())
        if sound:
            self._heard += sound
            self._silent = False
        else:
            self._frames.append(kind)


def _by_connection(lines: Sequence[Numbered]) -> list[list[Numbered]]:
    numbers = [line.connection for _, line in lines if isinstance(line, Opened)]
    return [[each for each in lines if each.line.connection == number] for number in numbers]


def _kind(frame: Frame) -> tuple[str, int]:
    """What kind of message it is, and of sound the length of its base64."""
    try:
        message: Any = from_json(frame)
    except ValueError:
        return "(no JSON)", 0
    if not isinstance(message, dict) or not message:
        return "(no message)", 0
    kind = message.get("type")
    if not isinstance(kind, str):
        kind = next(iter(message))
        message = message[kind]
        if kind == "realtimeInput" and isinstance(message, dict):
            # The other messages are one thing each; this one is six.
            inner = next(iter(message), "")
            kind, message = f"{kind}.{inner}", message.get(inner)
    elif isinstance(item := message.get("item"), dict):
        kind = f"{kind} ({item.get('type')})"
    if kind not in _SOUND or not isinstance(message, dict):
        return kind, 0
    return kind, len(str(message.get("audio") or message.get("data") or ""))


def _at_most(text: str, size: int) -> str:
    """The end of a text in at most `size` bytes of UTF-8: the line is named there."""
    return text.encode()[-size:].decode(errors="ignore")
