"""Writes every frame of a session's connections to a file, so that the session can be replayed.

The event loop only remembers what passed; a thread takes the secrets out and writes it.
"""

import asyncio
import base64
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from .. import __version__
from ..audio.wav import device_errors
from ..commands import AnyCommand, AppendAudio, UpdateSession
from ..config import RealtimeConfig
from ..errors import RealtimeError
from ..events import ErrorOccurred
from ..providers.base import Codec, Frame, Output, Past, Provider
from ..redaction import Redactor, redact_fields, secrets_in
from ..session.observer import Control, Observer
from ..tools.definition import ToolDefinition
from ..transport.base import Transport, TransportClosed
from ..transport.cassette import Closed, Commanded, Header, Opened, Received, Sent

logger = logging.getLogger("realtime_facade")

BACKLOG_BYTES = 64 * 2**20
"""How much may wait for the disk: about 20 minutes of conversation."""
PAUSE_S = 0.2
"""Between two looks at what has to be written."""
CLOSE_PATIENCE_S = 10.0

Make = Callable[[Redactor], BaseModel]
"""Makes a line; runs in the writing thread."""


class CassetteRecorder(Observer):
    """Records the connections of one session. Each is led through it by `connection`.

    Keys and tokens never get into the file: headers are not written, and what looks or is named
    like a secret is replaced in frames and configuration. What people said is in it.

    If the disk fails there is one `ErrorOccurred` with the cause "device", and the recording ends;
    the conversation goes on, and the file can be read up to there.

    Args:
        path: A file that is there already is replaced; missing parent folders are created.
        audio: False replaces all sound by silence of the same length.
        clock: In seconds.
    """

    wants_audio: ClassVar[bool] = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        audio: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._began = clock()
        self._connections = 0
        self._disk = _Disk(self.path, audio=audio)
        self._control: Control | None = None
        self._writing: asyncio.Task[None] | None = None
        self._told = False

    @property
    def error(self) -> RealtimeError | None:
        """Why the recording ended before the conversation did."""
        return self._disk.error

    def attach(self, control: Control) -> None:
        """Begin to write; what passed before was kept."""
        self._control = control
        self._wake()

    def connection(
        self,
        transport: Transport,
        codec: Codec,
        *,
        provider: Provider,
        config: RealtimeConfig,
        model: str,
        tools: Iterable[ToolDefinition],
        past: Past,
        secrets: Iterable[str] = (),
    ) -> tuple[Transport, Codec]:
        """Lead a fresh connection through the recorder; to be used in place of what was given.

        Args:
            transport: The open connection.
            codec: Made for it.
            provider: To whom it leads.
            config: What it is asked for.
            model: The one that answers.
            tools: Those of the configuration.
            past: What the codec was given.
            secrets: Texts that must not get into the file, beside those of the configuration.
        """
        self._connections += 1
        self._disk.know({*secrets, *secrets_in(config.provider_options)})
        track = _Track(self, self._connections)
        name, protocol, definitions = provider.name, provider.protocol, tuple(tools)
        at = self._now()
        self.note(
            lambda _: Opened(
                at=at,
                connection=track.number,
                provider=name,
                protocol=protocol,
                model=model,
                config=_plain_config(config),
                tools=definitions,
                past=past.items,
                past_connections=past.connections,
                resumed=past.handle is not None,
            )
        )
        return _TapedTransport(transport, track), _TapedCodec(codec, track)

    async def finish(self) -> None:
        """Write the rest and close the file."""
        self._control = None
        try:
            await asyncio.wait_for(asyncio.to_thread(self._disk.close), CLOSE_PATIENCE_S)
        except TimeoutError:
            self._disk.error = _too_slow(self.path)
        if self.error is not None and not self._told:
            # Not an event: the session's last one has passed.
            logger.error("the cassette is incomplete: %s", self.error)

    def note(self, make: Make, size: int = 1_000) -> None:
        """Remember a line of about `size` bytes."""
        if self._disk.error is not None:
            return
        if self._disk.waiting_bytes > BACKLOG_BYTES:
            self._disk.error = _too_slow(self.path)
            self._tell()
            return
        self._disk.put(make, size)
        if self._writing is None or self._writing.done():
            self._wake()

    def _now(self) -> float:
        return round(self._clock() - self._began, 4)

    def _wake(self) -> None:
        if self._control is not None:
            self._writing = self._control.start(self._write(), "cassette")

    async def _write(self) -> None:
        while self._disk.waiting_bytes and self.error is None:
            await asyncio.to_thread(self._disk.drain)
            self._tell()
            await asyncio.sleep(PAUSE_S)

    def _tell(self) -> None:
        error = self._disk.error
        if error is not None and not self._told and self._control is not None:
            self._told = True
            self._control.emit(ErrorOccurred.of(error))


@dataclass(frozen=True, slots=True)
class _Track:
    """One connection's place on the cassette."""

    recorder: CassetteRecorder
    number: int

    def frame(self, kind: type[Sent] | type[Received], frame: Frame) -> None:
        recorder, number = self.recorder, self.number
        at, audio = recorder._now(), recorder._disk.audio

        def line(redactor: Redactor) -> BaseModel:
            data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
            try:
                text = data.decode()
            except UnicodeDecodeError:
                encoded = base64.b64encode(redactor.frame(data)).decode()
                return kind(at=at, connection=number, base64=encoded)
            return kind(at=at, connection=number, text=_clean(text, redactor, audio=audio))

        recorder.note(line, len(frame))

    def command(self, command: AnyCommand) -> None:
        at, number = self.recorder._now(), self.number
        name = type(command).__name__
        self.recorder.note(
            lambda _: Commanded(at=at, connection=number, name=name, fields=_fields(command))
        )

    def closed(
        self,
        by: Literal["application", "provider", "network"],
        code: int | None = None,
        reason: str = "",
    ) -> None:
        at, number = self.recorder._now(), self.number
        self.recorder.note(
            lambda redactor: Closed(
                at=at, connection=number, by=by, code=code, reason=redactor.text(reason)
            )
        )


class _TapedTransport:
    """A transport of which everything is noted."""

    def __init__(self, transport: Transport, track: _Track) -> None:
        self._transport = transport
        self._track = track
        self._over = False

    async def send(self, frame: Frame) -> None:
        self._track.frame(Sent, frame)
        await self._transport.send(frame)

    def send_nowait(self, frame: Frame) -> bool:
        sent = self._transport.send_nowait(frame)
        if sent:
            self._track.frame(Sent, frame)
        return sent

    async def receive(self) -> Frame:
        try:
            frame = await self._transport.receive()
        except TransportClosed as closed:
            self._end("network" if closed.code is None else "provider", closed.code, closed.reason)
            raise
        if not self._over:  # else nobody listens any more
            self._track.frame(Received, frame)
        return frame

    async def close(self) -> None:
        self._end("application")
        await self._transport.close()

    def _end(
        self,
        by: Literal["application", "provider", "network"],
        code: int | None = None,
        reason: str = "",
    ) -> None:
        if not self._over:
            self._over = True
            self._track.closed(by, code, reason)


class _TapedCodec:
    """A codec whose commands are noted: with them and the frames it can be run again."""

    def __init__(self, codec: Codec, track: _Track) -> None:
        self._codec = codec
        self._track = track

    def open(self) -> Output:
        return self._codec.open()

    def send(self, command: AnyCommand) -> Output:
        output = self._codec.send(command)
        self._track.command(command)
        return output

    def receive(self, frame: Frame) -> Output:
        return self._codec.receive(frame)


class _Disk:
    """The file. `put` on the event loop, `drain` and `close` in a thread.

    A thread writes what is queued, not what it was sent with: one that was cancelled before it ran
    loses nothing.
    """

    def __init__(self, path: Path, *, audio: bool) -> None:
        self.audio = audio
        self.error: RealtimeError | None = None
        """Why nothing is written any more."""
        self._path = path
        self._queue: deque[tuple[Make, int]] = deque()
        self._put_bytes = 0
        self._written_bytes = 0
        self._file: IO[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._secrets: set[str] = set()
        self._redactor = Redactor()

    @property
    def waiting_bytes(self) -> int:
        """About how much was put and is not in the file."""
        return self._put_bytes - self._written_bytes

    def know(self, secrets: Iterable[str]) -> None:
        """Keep these out of the file."""
        self._secrets.update(secrets)
        self._redactor = Redactor(self._secrets)

    def put(self, make: Make, size: int) -> None:
        self._queue.append((make, size))
        self._put_bytes += size

    def drain(self) -> None:
        with self._lock:
            self._drain()

    def close(self) -> None:
        with self._lock:
            self._drain()
            self._closed = True
            if self._file is not None:
                try:
                    with device_errors(self._path):
                        self._file.close()
                except RealtimeError as error:
                    self.error = self.error or error

    def _drain(self) -> None:
        try:
            with device_errors(self._path):
                # Only what is there now: a conversation goes on while it is written down.
                for _ in range(len(self._queue)):
                    if self.error is not None or self._closed:
                        break
                    make, size = self._queue.popleft()
                    self._write(make(self._redactor))
                    self._written_bytes += size
                if self._file is not None and not self._closed:
                    self._file.flush()
        except RealtimeError as error:
            self.error = self.error or error
        if self.error is not None:
            self._queue.clear()
            self._written_bytes = self._put_bytes

    def _open(self) -> IO[bytes]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # What people said is in it: for this user's eyes.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return open(descriptor, "wb")

    def _write(self, line: BaseModel) -> None:
        if self._file is None:
            self._file = self._open()
            self._write(Header(package=__version__, audio=self.audio))
        self._file.write(to_json(line, exclude_none=True) + b"\n")


def _plain_config(config: RealtimeConfig) -> dict[str, Any]:
    fields = config.model_dump(
        mode="json", exclude={"tools"}, exclude_defaults=True, fallback=str, warnings=False
    )
    plain: dict[str, Any] = redact_fields(fields)
    return plain


def _fields(command: AnyCommand) -> dict[str, Any]:
    if isinstance(command, AppendAudio):
        return {"bytes": len(command.data)}
    if isinstance(command, UpdateSession):
        return {
            "config": _plain_config(command.config),
            "changed": sorted(command.changed),
            "tools": [tool.model_dump(mode="json") for tool in command.tools],
        }
    fields: dict[str, Any] = redact_fields(command.model_dump(mode="json", fallback=str))
    return fields


def _clean(text: str, redactor: Redactor, *, audio: bool) -> str:
    """A frame's text without secrets and, if so wished, without sound; otherwise as it came."""
    try:
        message = from_json(text)
    except ValueError:
        return redactor.text(text)
    cleaned = _walk(redact_fields(message), redactor, audio=audio)
    return text if cleaned == message else to_json(cleaned).decode()


def _walk(value: Any, redactor: Redactor, *, audio: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: (item if audio else _silence(item))
            if isinstance(item, str) and _is_sound(key, value)
            else _walk(item, redactor, audio=audio)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_walk(item, redactor, audio=audio) for item in value]
    return redactor.text(value) if isinstance(value, str) else value


def _is_sound(key: str, message: Mapping[str, Any]) -> bool:
    """Whether a field of a message holds base64 of sound, in one of the protocols' ways."""
    if key == "audio":
        return True
    if key == "delta":
        return str(message.get("type")).endswith("audio.delta")
    return key == "data" and str(message.get("mimeType")).startswith("audio/")


def _silence(encoded: str) -> str:
    padding = len(encoded) - len(encoded.rstrip("="))
    return "A" * (len(encoded) - padding) + "=" * padding


def _too_slow(path: Path) -> RealtimeError:
    return RealtimeError(
        f"the disk does not take the file {os.fspath(path)!r} fast enough",
        code="too_slow",
        cause="device",
        retryable=True,
        advice="record to a local disk",
    )
