"""OpenAI's Realtime API: its models and voices, where to dial, and what a refusal means."""

import os
import warnings
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from ...config import RealtimeConfig
from ...errors import ConfigurationError, RealtimeConnectionError
from ...tools.definition import ToolDefinition
from ..base import NO_PAST, Codec, Endpoint, Past, Profile, Provider
from . import faults
from .codec import OpenAICodec
from .session_config import TRANSCRIPTION_MODEL, is_custom_voice

OPENAI_URL = "https://api.openai.com/v1"

VOICES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "marin",
    "sage",
    "shimmer",
    "verse",
)

MODELS = (
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2",
    "gpt-realtime-1.5",
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-12-15",
    "gpt-realtime-mini-2025-10-06",
)

RETIRED = {
    "gpt-4o-realtime-preview": "gpt-realtime-2.1",
    "gpt-4o-realtime-preview-2024-10-01": "gpt-realtime-2.1",
    "gpt-4o-realtime-preview-2024-12-17": "gpt-realtime-2.1",
    "gpt-4o-realtime-preview-2025-06-03": "gpt-realtime-2.1",
    "gpt-4o-mini-realtime-preview": "gpt-realtime-2.1-mini",
    "gpt-4o-mini-realtime-preview-2024-12-17": "gpt-realtime-2.1-mini",
}
"""Models of the beta protocol, which nobody speaks any more, and what replaces them."""

SHUTDOWN = "2027-01-20"
DEPRECATED = {
    "gpt-realtime": "gpt-realtime-2.1",
    "gpt-realtime-2025-08-28": "gpt-realtime-2.1",
    "gpt-realtime-mini": "gpt-realtime-2.1-mini",
    "gpt-realtime-mini-2025-12-15": "gpt-realtime-2.1-mini",
}
"""Models that answer until `SHUTDOWN`, and what replaces them."""

_DEFAULT_VOICES = {
    "gpt-realtime-2.1": "marin",
    "gpt-realtime": "alloy",
    "gpt-realtime-2025-08-28": "alloy",
}
"""As recorded in `session.created`; of other models the default is not known."""

_MOST_OUTPUT_TOKENS = 4_096
_SESSION_LIMIT_S = 3_600.0
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class OpenAIProvider(Provider):
    """OpenAI Realtime, or with `base_url` (or `OPENAI_BASE_URL`) a server that speaks like it.

    For such a server names of models and voices are passed on untouched, and a key is optional.
    """

    name = "openai"
    env_keys: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    default_model = MODELS[0]
    models: ClassVar[tuple[str, ...]] = MODELS
    voices = VOICES
    low_voices = frozenset({"ash", "ballad", "cedar", "echo", "verse"})

    @property
    def protocol(self) -> str:
        """OpenAI's, also where a subclass leads elsewhere."""
        return "openai"

    @property
    def url(self) -> str:
        """The base URL in force."""
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL

    @property
    def is_compatible_server(self) -> bool:
        """Whether the URL leads elsewhere than to OpenAI, its regional hosts included."""
        host = _split(self.url, self.name).hostname or ""
        return host != "api.openai.com" and not host.endswith(".api.openai.com")

    def profile(self, config: RealtimeConfig) -> Profile:
        """What the configured model can do.

        Raises:
            ConfigurationError: If the base URL is not one.
        """
        compatible = self.is_compatible_server
        model = config.model or self.default_model
        if not compatible:
            model = _current(model)
        return Profile(
            provider=self.name,
            model=model,
            voices=() if compatible else self.voices,
            default_voice=None if compatible else _DEFAULT_VOICES.get(model),
            default_recognizer=TRANSCRIPTION_MODEL,
            supports_truncation=True,
            supports_cancel=True,
            supports_temperature=False,
            supports_speed=True,
            supports_semantic_vad=True,
            supports_answers_during_tools=True,
            fixed_by_speech=frozenset({"voice"}),
            session_limit_s=_SESSION_LIMIT_S,
        )

    def codec(
        self,
        config: RealtimeConfig,
        profile: Profile,
        tools: Sequence[ToolDefinition],
        past: Past = NO_PAST,
    ) -> Codec:
        """A fresh codec for one connection.

        Raises:
            ConfigurationError: If the configuration cannot be had; nothing was dialled yet.
        """
        self.check_voice(config, profile)
        most = None if self.is_compatible_server else _MOST_OUTPUT_TOKENS
        if most is not None and config.max_tokens is not None and config.max_tokens > most:
            raise ConfigurationError(
                f"max_tokens={config.max_tokens} is more than an answer may have",
                provider=self.name,
                advice=f"give at most {most}, or None for no limit",
            )
        return OpenAICodec(config, profile, tools, past)

    def endpoint(self, config: RealtimeConfig, profile: Profile) -> Endpoint:
        """Where to dial, with the key in a header.

        Raises:
            ConfigurationError: If there is no key, or the base URL is not one.
        """
        parts = _split(self.url, self.name)
        path = parts.path.rstrip("/")
        if not path.endswith("/realtime"):
            path += "/realtime"
        extra = [pair for pair in parse_qsl(parts.query, True) if pair[0] != "model"]
        query = urlencode([*extra, ("model", profile.model)])
        url = urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, query, ""))
        return Endpoint(url, self._headers())

    def _headers(self) -> dict[str, str]:
        headers = self._authorization()
        for header, variable in (
            ("OpenAI-Organization", "OPENAI_ORG_ID"),
            ("OpenAI-Project", "OPENAI_PROJECT_ID"),
        ):
            if value := os.environ.get(variable):
                headers[header] = value
        return headers

    def _authorization(self) -> dict[str, str]:
        if self.is_compatible_server and not (self._api_key or self.is_configured()):
            return {}
        return {"Authorization": f"Bearer {self._header_key()}"}

    def _header_key(self) -> str:
        # A key read from a file often ends in a newline, which no header can carry.
        key = self.api_key.strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"the key for provider {self.name!r} holds characters that no key has",
                provider=self.name,
                cause="authentication",
                advice="copy the key again, without quotes, spaces or line breaks",
            )
        return key

    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        """What a closed connection means. Code None: network failure."""
        return faults.explain_close(self.name, code, reason)

    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        """What an HTTP refusal of the WebSocket handshake means."""
        return faults.explain_refusal(self.name, status, body)

    def check_voice(self, config: RealtimeConfig, profile: Profile) -> None:
        """Refuse a voice that OpenAI has not; ids of custom voices (`voice_...`) pass.

        Raises:
            ConfigurationError: Lists the voices there are.
        """
        if not is_custom_voice(config.voice or ""):
            super().check_voice(config, profile)


def _current(model: str) -> str:
    if successor := RETIRED.get(model):
        warnings.warn(
            f"{model} is retired; {successor} is used instead", DeprecationWarning, stacklevel=3
        )
        return successor
    if successor := DEPRECATED.get(model):
        warnings.warn(
            f"{model} will be shut down on {SHUTDOWN}; change to {successor}",
            DeprecationWarning,
            stacklevel=3,
        )
    return model


def _split(url: str, provider: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        dialable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        parts, dialable = SplitResult("", "", "", "", ""), False
    if not dialable:
        raise ConfigurationError(
            "the base URL is not an address that can be dialled",
            provider=provider,
            advice="give one such as https://host/v1 (http, https, ws or wss)",
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "the base URL holds credentials, and URLs are logged",
            provider=provider,
            advice="pass the key as api_key=",
        )
    return parts
