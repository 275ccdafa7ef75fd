"""The offline provider: a simulator in this process behind the ordinary provider code."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal

from ..config import RealtimeConfig
from ..errors import RealtimeConnectionError
from ..tools.definition import ToolDefinition
from .base import NO_PAST, Codec, Endpoint, Past, Profile, Provider
from .gemini import GeminiProvider
from .openai import OpenAIProvider

LOCAL_KEY = "local"
"""The simulator wants some key; it goes over loopback only."""


class LocalProvider(Provider):
    """Real ears, small wits and a real voice on this machine: no key, no network.

    Everything between the application and the loopback socket is the code that talks to the real
    provider whose protocol `wire` names. Never chosen by itself.

    Args:
        wire: The protocol to speak.
        parts: Other ears, mind or voice (`simulator.parts.Parts`); None takes those of the
            extra `local`.
        speed: How many times faster than real time the voice is generated.
    """

    name = "local"
    default_model: ClassVar[str] = OpenAIProvider.default_model
    models: ClassVar[tuple[str, ...]] = (OpenAIProvider.default_model, GeminiProvider.default_model)
    voices: ClassVar[tuple[str, ...]] = (*OpenAIProvider.voices, *GeminiProvider.voices)
    low_voices: ClassVar[frozenset[str]] = OpenAIProvider.low_voices | GeminiProvider.low_voices

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        wire: Literal["openai", "gemini"] = "openai",
        parts: Any = None,
        speed: float = 6.0,
    ) -> None:
        super().__init__(api_key=api_key, base_url=base_url)
        self.wire: Literal["openai", "gemini"] = wire
        self._parts = parts
        self._speed = speed
        kind = GeminiProvider if wire == "gemini" else OpenAIProvider
        self._spoken = kind(api_key=LOCAL_KEY, base_url="ws://127.0.0.1/v1")

    @property
    def protocol(self) -> str:
        """That of the provider whose protocol is spoken."""
        return self.wire

    def with_key(self, api_key: str | None, base_url: str | None) -> "LocalProvider":
        """The same: there is no key and no address to choose."""
        return self

    def profile(self, config: RealtimeConfig) -> Profile:
        """That of the provider whose protocol is spoken."""
        return replace(self._spoken.profile(config), provider=self.name)

    def codec(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition],
        past: Past = NO_PAST,
    ) -> Codec:
        """That of the provider whose protocol is spoken."""
        return self._spoken.codec(config, profile, tools, past)

    def endpoint(self, config: RealtimeConfig, profile: Profile) -> Endpoint:
        """That of a server which `serving` starts; this is where it would be."""
        return self._spoken.endpoint(config, profile)

    @asynccontextmanager
    async def serving(self, config: RealtimeConfig, profile: Profile) -> AsyncIterator[Endpoint]:
        """Run the simulator as long as the session lasts.

        Raises:
            MissingExtra: If the extra `local` is not installed and no parts were given.
        """
        # The one place where a provider reaches up to the simulator; only when it is used.
        from ..simulator.server import Simulator

        parts = self._parts
        if parts is None:
            from ..simulator.speech import local_parts

            parts = local_parts()
        async with Simulator(parts, speed=self._speed, wires=(self.wire,)) as simulator:
            url = simulator.gemini_plain_url if self.wire == "gemini" else simulator.openai_url
            yield self._spoken.with_key(LOCAL_KEY, url).endpoint(config, profile)

    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        """As the provider whose protocol is spoken."""
        return self._spoken.explain_close(code, reason)

    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        """As the provider whose protocol is spoken."""
        return self._spoken.explain_refusal(status, body)
