"""Gemini Live with a Developer API key or an ephemeral token: profile, codec and address."""

import os
from collections.abc import Sequence
from typing import ClassVar, Self
from urllib.parse import urlsplit

from ...config import RealtimeConfig
from ...errors import ConfigurationError, RealtimeConnectionError
from ...tools.definition import ToolDefinition
from ..base import NO_PAST, Codec, Endpoint, Past, Profile, Provider
from . import faults
from .codec import CHANGEABLE, GeminiCodec
from .families import (
    CUSTOM_VOICE_PREFIX,
    DEFAULT_MODEL,
    LOW_VOICES,
    MODELS,
    VOICES,
    current_model,
    family_of,
)

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_TOKEN_PREFIX = "auth_tokens/"  # noqa: S105 - how a token begins, not a token


class GeminiProvider(Provider):
    """Google's Live API at generativelanguage.googleapis.com.

    Args:
        api_key: A key, or an ephemeral token ("auth_tokens/..."), which is served by
            another method of version v1alpha.
        base_url: Where to dial, without the API's path; `http` and `ws` are for a simulator.
            Default: `GOOGLE_GEMINI_BASE_URL`, else Google.
        api_version: Such as "v1beta", "v1" or "v1alpha"; some preview settings need the last.
    """

    name: ClassVar[str] = "gemini"
    env_keys: ClassVar[tuple[str, ...]] = (
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_GENAI_API_KEY",
    )
    default_model: ClassVar[str] = DEFAULT_MODEL
    models: ClassVar[tuple[str, ...]] = MODELS
    voices: ClassVar[tuple[str, ...]] = VOICES
    low_voices: ClassVar[frozenset[str]] = LOW_VOICES

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str = "v1beta",
    ) -> None:
        super().__init__(api_key=api_key, base_url=base_url)
        self.api_version = api_version

    @property
    def protocol(self) -> str:
        """Gemini's, also where a subclass leads elsewhere."""
        return "gemini"

    def profile(self, config: RealtimeConfig) -> Profile:
        """What the configured model can do; a retired name warns and gives its successor's."""
        model = current_model(config.model)
        family = family_of(model)
        return Profile(
            provider=self.name,
            model=model,
            voices=VOICES,
            input_rate=16_000,
            output_rate=24_000,
            supports_text_output="text" in family.modalities,
            updatable=CHANGEABLE if family.context_update else frozenset(),
            supports_resumption=True,
            handles_before_answers=family.handles_before_answers,
            supports_overlap=False,
            answers_every_turn=False,
            emits_speech_events=family.emits_speech_events and config.turns is not None,
            session_limit_s=family.connection_limit_s,
            # Its pongs take 8 to 30 s under load, so they say nothing about the connection.
            ping_interval_s=None,
            ping_timeout_s=None,
        )

    def check_voice(self, config: RealtimeConfig, profile: Profile) -> None:
        """Refuse a name that is neither a prebuilt voice nor the id of a custom one.

        Raises:
            ConfigurationError: Lists the voices there are.
        """
        if config.voice is None or not config.voice.startswith(CUSTOM_VOICE_PREFIX):
            super().check_voice(config, profile)

    def codec(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition],
        past: Past = NO_PAST,
    ) -> Codec:
        """A fresh codec for one connection.

        Raises:
            ConfigurationError: If the voice is unknown, the model cannot answer in the modality,
                or `provider_options` do not fit.
        """
        self.check_voice(config, profile)
        return GeminiCodec(config, profile, tools, past)

    def endpoint(self, config: RealtimeConfig, profile: Profile) -> Endpoint:
        """Where to dial, with the key in a header and never in the URL.

        Raises:
            ConfigurationError: If there is no usable key, or the address is not one.
        """
        key = self.api_key.strip()
        if not key.isascii() or not key.isprintable():
            raise ConfigurationError(
                "the key for Gemini holds characters that no key has",
                provider=self.name,
                cause="authentication",
                advice="copy it again, without quotes, spaces or line breaks",
            )
        headers = {"x-goog-api-key": key}
        version, method = self.api_version, "BidiGenerateContent"
        if key.startswith(_TOKEN_PREFIX):
            headers["Authorization"] = f"Token {key}"
            version, method = "v1alpha", "BidiGenerateContentConstrained"
        path = f"/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}"
        return Endpoint(self._origin() + path, headers)

    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        """What a closed connection means; None: it broke without a closing handshake.

        Cause "expired" tells two cases apart: retryable, the connection's lifetime is over and
        the newest handle continues it; not retryable, the handle itself is dead.
        """
        return faults.explain_close(code, reason)

    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        """What an HTTP refusal of the WebSocket handshake means."""
        return faults.explain_refusal(status, body)

    def with_key(self, api_key: str | None, base_url: str | None) -> Self:
        """The same provider and API version with another key or address."""
        return type(self)(
            api_key=api_key or self._api_key,
            base_url=base_url or self.base_url,
            api_version=self.api_version,
        )

    def _origin(self) -> str:
        base = (
            self.base_url
            or os.environ.get("GOOGLE_GEMINI_BASE_URL")
            or "https://generativelanguage.googleapis.com"
        )
        # The address itself is left out of the message: it may hold credentials.
        refusal = ConfigurationError(
            "the base_url for Gemini is not an http(s) or ws(s) address without credentials",
            provider=self.name,
            advice="write it like https://generativelanguage.googleapis.com",
        )
        try:
            parts = urlsplit(base.strip())
        except ValueError:
            raise refusal from None
        scheme = _SCHEMES.get(parts.scheme)
        if not scheme or not parts.hostname or "@" in parts.netloc or parts.query:
            raise refusal
        return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"
