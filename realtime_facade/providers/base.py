"""What a provider is: data (`Profile`), a pure `Codec`, and an address to dial (`Endpoint`)."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from ..commands import AnyCommand
from ..config import VAD_FIELDS, RealtimeConfig
from ..conversation import SeedItem
from ..errors import ConfigurationError, RealtimeConnectionError
from ..events import Event
from ..redaction import address, secrets_of
from ..tools.definition import ToolDefinition

Frame = str | bytes
"""One WebSocket message; its parsed form is called a message."""


class Output(NamedTuple):
    """Everything that has to happen next: frames to send first, then events to dispatch."""

    frames: tuple[Frame, ...] = ()
    events: tuple[Event, ...] = ()


NOTHING = Output()


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a new connection has to know of a conversation that went on before it."""

    items: tuple[SeedItem, ...] = ()
    """What was said and done, oldest first; with a handle only what came after it. Of a
    `ToolRound` without an output the result comes later, as `SendToolResult`."""
    handle: str | None = field(default=None, repr=False)
    """The newest `SessionResumable` of the connection before; for the same model only."""
    connections: int = 0
    """How many were tried before: ids that a codec makes up differ by it."""


NO_PAST = Past()

UPDATABLE = frozenset(
    {
        "instructions",
        "voice",
        "tools",
        "tool_choice",
        "speed",
        "max_tokens",
        "temperature",
        "turn_detection",
        *VAD_FIELDS,
        "create_response",
        "interrupt_response",
        "transcription",
        "modalities",
    }
)
"""Fields of `RealtimeConfig` that mean something to a provider while a session runs."""


class Codec(Protocol):
    """Translates between one provider's frames and this package's commands and events.

    Pure: no `await`, clock, lock, socket or random number. A value made for one connection.
    """

    def open(self) -> Output:
        """What to send first, once the connection stands."""
        ...

    def send(self, command: AnyCommand) -> Output:
        """Translate a command.

        Raises:
            ConfigurationError: If this provider has no such thing.
        """
        ...

    def receive(self, frame: Frame) -> Output:
        """Translate a provider's frame; frames of an unknown type become `RawEvent`.

        The first `SessionStarted` says that the provider accepted the configuration.

        Raises:
            ProtocolError: If the frame is malformed. The codec stays usable.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a provider can do, for one model. Code asks this, never a provider's name."""

    provider: str
    model: str
    voices: tuple[str, ...] = ()
    """Known voices; empty when any name may be right."""
    default_voice: str | None = None
    default_recognizer: str | None = None
    """The model that writes the user's words down unless the configuration names one; None where
    there is no choice of them, or no default."""
    input_rate: int = 24_000
    """Hz of the audio that goes to the provider."""
    output_rate: int = 24_000
    """Hz of the audio that comes from it."""
    supports_truncation: bool = False
    """Whether the model can be told how much of an item was heard."""
    supports_cancel: bool = False
    """Whether generation can be stopped on request."""
    supports_temperature: bool = True
    supports_speed: bool = False
    supports_semantic_vad: bool = False
    supports_text_output: bool = True
    updatable: frozenset[str] = UPDATABLE
    """Fields of `RealtimeConfig` that can be changed in a running session."""
    fixed_by_speech: frozenset[str] = frozenset()
    """Those of them that cannot be changed any more once the assistant has spoken."""
    supports_resumption: bool = False
    """Whether a `SessionResumable` handle brings a conversation back on a new connection."""
    handles_before_answers: bool = False
    """Whether a handle is made before an answer, from all that was read for it. One that is made
    after an answer may cross with what is written next."""
    supports_overlap: bool = True
    """Whether a new connection may begin before the one that it goes on from is closed."""
    supports_answers_during_tools: bool = False
    """Whether the model can be asked to say something while a tool call is open."""
    answers_every_turn: bool = True
    """Whether every spoken turn gets an answer; some models may hold their tongue."""
    emits_speech_events: bool = True
    """Whether the provider says when the user starts and stops speaking."""
    session_limit_s: float | None = None
    ping_interval_s: float | None = 20.0
    """None where pings must not be used to judge the connection."""
    ping_timeout_s: float | None = 20.0


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where to dial. Only the plain address is in the repr: the rest may hold the key."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Endpoint({address(self.url)!r})"

    @property
    def host(self) -> str:
        """The name or address of the server."""
        return urlsplit(self.url).hostname or ""

    @property
    def secrets(self) -> set[str]:
        """The texts in it that nobody but the server may see."""
        return secrets_of(self.url, self.headers, self.subprotocols)


class Provider(ABC):
    """A way to reach a family of models. Third parties subclass this and register it."""

    name: ClassVar[str]
    env_keys: ClassVar[tuple[str, ...]] = ()
    """Environment variables that may hold the key, the first set one wins."""
    default_model: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    voices: ClassVar[tuple[str, ...]]
    low_voices: ClassVar[frozenset[str]] = frozenset()
    """Those of them that are deep, so that another provider's voice can be matched."""

    def __init__(self, *, api_key: str | None = None, base_url: str | None = None) -> None:
        self._api_key = api_key
        self.base_url = base_url

    @property
    def protocol(self) -> str:
        """The name of the built-in provider whose protocol it speaks; its own, if none."""
        return self.name

    @classmethod
    def is_configured(cls) -> bool:
        """Whether the environment holds a key for it."""
        return any(os.environ.get(key) for key in cls.env_keys)

    @classmethod
    def list_models(cls) -> list[str]:
        """Names known to this release; others are passed on untouched."""
        return list(cls.models)

    @classmethod
    def list_voices(cls) -> list[str]:
        """Voices known to this release."""
        return list(cls.voices)

    @property
    def api_key(self) -> str:
        """The key that was given, else the environment's.

        Raises:
            ConfigurationError: If there is none.
        """
        if self._api_key:
            return self._api_key
        for key in self.env_keys:
            if value := os.environ.get(key):
                return value
        raise ConfigurationError(
            f"no key for provider {self.name!r}",
            provider=self.name,
            cause="authentication",
            advice=f"set {' or '.join(self.env_keys)}, or pass api_key=",
        )

    @abstractmethod
    def profile(self, config: RealtimeConfig) -> Profile:
        """What the configured model can do."""

    @abstractmethod
    def codec(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition],
        past: Past = NO_PAST,
    ) -> Codec:
        """A fresh codec for one connection, which tells the model of `past` before it starts.

        Raises:
            ConfigurationError: If the configuration cannot be had; nothing was dialled yet.
        """

    @abstractmethod
    def endpoint(self, config: RealtimeConfig, profile: Profile) -> Endpoint:
        """Where to dial, with the key in a header.

        Raises:
            ConfigurationError: If there is no key.
        """

    @asynccontextmanager
    async def serving(self, config: RealtimeConfig, profile: Profile) -> AsyncIterator[Endpoint]:
        """The endpoint, alive as long as the context is open.

        Providers that run their own server start and stop it here.
        """
        yield self.endpoint(config, profile)

    @abstractmethod
    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        """What a closed connection means: `{retryable, cause, advice}`; None: network failure."""

    @abstractmethod
    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        """What an HTTP refusal of the WebSocket handshake means."""

    def check_voice(self, config: RealtimeConfig, profile: Profile) -> None:
        """Refuse a voice that another provider has and this one has not.

        Raises:
            ConfigurationError: Lists the voices there are.
        """
        if config.voice and profile.voices and config.voice not in profile.voices:
            raise ConfigurationError(
                f"{self.name} has no voice {config.voice!r}",
                provider=self.name,
                advice=f"choose one of: {', '.join(profile.voices)}",
            )

    def with_key(self, api_key: str | None, base_url: str | None) -> Self:
        """The same provider with another key or address."""
        return type(self)(api_key=api_key or self._api_key, base_url=base_url or self.base_url)
