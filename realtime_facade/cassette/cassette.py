"""Reads a cassette, and runs what is on it through the codec again."""

import base64
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ..commands import AnyCommand, AppendAudio
from ..config import RealtimeConfig
from ..errors import ConfigurationError, ProtocolError, RealtimeError
from ..events import ErrorOccurred, Event
from ..providers.base import Codec, Frame, Output, Past, Provider
from ..providers.registry import provider_class
from ..transport.cassette import (
    FORMAT,
    Closed,
    Commanded,
    Header,
    Line,
    Opened,
    Received,
    Sent,
)

if TYPE_CHECKING:
    from .provider import CassetteProvider

_LINE: TypeAdapter[Line] = TypeAdapter(Line)
_COMMANDS = {command.__name__: command for command in get_args(AnyCommand)}
_NOBODY = "http://127.0.0.1/v1"
"""A codec dials nobody; an address of somebody's own server lets every name of a model pass."""


class Numbered(NamedTuple):
    """A line with its number in the file, from 1; the header is the first."""

    number: int
    line: Line


class Played(NamedTuple):
    """Something that happened while a cassette was run."""

    at: float
    """Seconds since the beginning of the cassette."""
    connection: int
    happened: Event | Opened | Closed


class Cassette:
    """A recorded session; `load` makes one.

    Raises:
        ConfigurationError: From `load`, `play` and `events`, with the number of the line, if the
            file is not a cassette or is broken.
    """

    def __init__(self, header: Header, lines: Sequence[Numbered], source: str) -> None:
        self.header = header
        self.lines = tuple(lines)
        self.source = source
        """Named in errors."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file that `record_to=` has written.

        Raises:
            ConfigurationError: If it cannot be read, or the line that is wrong.
        """
        source = os.fspath(path)
        try:
            # Bytes: a program that was killed may have left half a character at the end.
            rows = Path(path).read_bytes().splitlines()
        except OSError as error:
            raise ConfigurationError(
                f"the cassette {source} cannot be read: {error.strerror or error}",
                advice="give the path of a file that record_to= has written",
            ) from error
        header = _header(rows[0] if rows else b"", source)
        lines = []
        for number, row in enumerate(rows[1:], 2):
            try:
                lines.append(Numbered(number, _LINE.validate_json(row)))
            except ValidationError as error:
                if number == len(rows) and number > 2:
                    break  # the writer was stopped in the middle of it
                raise _broken(source, number, _problem(error)) from None
        if not lines or not isinstance(lines[0].line, Opened):
            raise _broken(source, 2, "the first connection is missing")
        return cls(header, lines, source)

    @property
    def opened(self) -> Opened:
        """How the first connection began: provider, model, configuration."""
        first = self.lines[0].line
        assert isinstance(first, Opened)  # noqa: S101 - `load` looked
        return first

    @property
    def config(self) -> RealtimeConfig:
        """What the first connection was configured with."""
        return config_of(self.opened)

    @property
    def connections(self) -> int:
        """How many connections the session had."""
        return sum(isinstance(line, Opened) for _, line in self.lines)

    def play(self) -> Iterator[Played]:
        """Run the codecs again: what came in, and what the session was told to do, in order.

        Raises:
            ConfigurationError: Names the line that cannot be run.
        """
        codecs: dict[int, Codec] = {}
        for number, line in self.lines:
            if isinstance(line, Opened):
                yield Played(line.at, line.connection, line)
                codecs[line.connection] = self._codec(number, line)
                output = codecs[line.connection].open()
            elif isinstance(line, Closed):
                yield Played(line.at, line.connection, line)
                continue
            elif line.connection not in codecs:
                raise _broken(self.source, number, f"connection {line.connection} is not open")
            else:
                output = self._run(codecs[line.connection], number, line)
            for event in output.events:
                yield Played(line.at, line.connection, event)

    def events(self) -> list[Event]:
        """The events of `play`."""
        return [what.happened for what in self.play() if isinstance(what.happened, Event)]

    def provider(self, *, patience_s: float = 5.0) -> "CassetteProvider":
        """A provider that answers as the recorded one did, for `RealtimeVoice(provider=...)`."""
        from .provider import CassetteProvider

        return CassetteProvider(self, patience_s=patience_s)

    def _run(self, codec: Codec, number: int, line: Sent | Received | Commanded) -> Output:
        try:
            match line:
                case Received():
                    try:
                        return codec.receive(frame_of(line))
                    except ProtocolError as error:
                        return Output((), (ErrorOccurred.of(error),))
                case Commanded():
                    return codec.send(_command(line))
                case Sent():
                    return Output()
        except ValidationError as error:
            raise _broken(self.source, number, _problem(error)) from None
        except KeyError as error:
            raise _broken(self.source, number, f"there is no {error}") from None
        except (RealtimeError, ValueError) as error:
            raise _broken(self.source, number, str(error)) from None

    def _codec(self, number: int, line: Opened) -> Codec:
        try:
            provider, config = spoken(line), config_of(line)
            past = Past(
                items=line.past,
                connections=line.past_connections,
                # Any text will do: the codec only sends it.
                handle="replayed" if line.resumed else None,
            )
            return provider.codec(config, provider.profile(config), line.tools, past)
        except ValidationError as error:
            raise _broken(self.source, number, _problem(error)) from None
        except RealtimeError as error:
            raise _broken(self.source, number, str(error)) from None


def spoken(line: Opened) -> Provider:
    """The provider whose protocol was spoken, with a key that opens nothing."""
    return provider_class(line.protocol)(api_key="replayed", base_url=_NOBODY)


def config_of(line: Opened) -> RealtimeConfig:
    """The configuration of a connection, with the model that was chosen."""
    return RealtimeConfig(**{**line.config, "model": line.model, "tools": line.tools})


def frame_of(line: Sent | Received) -> Frame:
    """The frame as it came or went."""
    return line.text if line.text is not None else base64.b64decode(line.base64 or "")


def _command(line: Commanded) -> AnyCommand:
    kind, fields = _COMMANDS[line.name], dict(line.fields)
    if kind is AppendAudio:
        return AppendAudio(data=bytes(fields["bytes"]))
    if "config" in fields:
        tools = fields.get("tools", ())
        fields["config"] = RealtimeConfig(**{**fields["config"], "tools": _definitions(tools)})
    command: AnyCommand = kind(**fields)
    return command


def _definitions(tools: Any) -> tuple[Any, ...]:
    from ..tools.definition import ToolDefinition

    return tuple(ToolDefinition.model_validate(tool) for tool in tools)


def _header(row: bytes, source: str) -> Header:
    try:
        fields = from_json(row)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise _broken(source, 1, "this is no cassette")
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        raise _broken(source, 1, _problem(error)) from None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _broken(source: str, number: int, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"{source}, line {number}: {problem}",
        advice="record it again, or mend the line",
    )
