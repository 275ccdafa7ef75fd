"""Opens connections: from a provider and a configuration to a link that the provider accepted."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from .config import RealtimeConfig
from .errors import RealtimeConnectionError
from .providers.base import Frame, Past, Profile, Provider
from .redaction import secrets_in
from .session.link import Link
from .tools.registry import Tools
from .transport.websocket import dial

if TYPE_CHECKING:
    from .features.cassette import CassetteRecorder
    from .transport.base import Transport


class Dialer:
    """Dials for one conversation.

    Args:
        first: The provider for which the configuration was written.
        on_frame: Sees every frame that a provider sends.
        recorder: Writes every connection down.
    """

    def __init__(
        self,
        first: Provider,
        *,
        on_frame: Callable[[Frame], None] | None = None,
        recorder: "CassetteRecorder | None" = None,
    ) -> None:
        self._first = first
        self._on_frame = on_frame
        self._recorder = recorder

    async def __call__(
        self, provider: Provider, config: RealtimeConfig, past: Callable[[Profile], Past]
    ) -> Link:
        """A connection on which the provider has accepted the configuration.

        Raises:
            ConfigurationError: Before dialling, if the provider cannot do what is asked for.
            RealtimeConnectionError: If it cannot be reached, or does not accept.
        """
        # Whatever can be wrong on this side shows before anything is dialled.
        wanted = config
        if provider.name != self._first.name:
            wanted = taken_over(config, self._first, provider)
        profile = provider.profile(wanted)
        provider.check_voice(wanted, profile)
        tools = Tools(wanted.tools).definitions(
            speaks_while_running=profile.supports_answers_during_tools
        )
        known = past(profile)
        codec = provider.codec(wanted, profile, tools, known)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(config.setup_timeout_s):
                    endpoint = await stack.enter_async_context(provider.serving(wanted, profile))
                    transport: Transport = await dial(
                        endpoint,
                        provider=provider.name,
                        timeout_s=config.setup_timeout_s,
                        ping_interval_s=profile.ping_interval_s,
                        ping_timeout_s=profile.ping_timeout_s,
                        explain_refusal=provider.explain_refusal,
                        secrets=secrets_in(wanted.provider_options),
                    )
                    if self._recorder is not None:
                        transport, codec = self._recorder.connection(
                            transport,
                            codec,
                            provider=provider,
                            config=wanted,
                            model=profile.model,
                            tools=tools,
                            past=known,
                            secrets=endpoint.secrets,
                        )
                    link = Link(
                        transport=transport,
                        codec=codec,
                        profile=profile,
                        config=config,
                        explain_close=provider.explain_close,
                        release=stack.pop_all().aclose,
                        on_frame=self._on_frame,
                    )
                    stack.push_async_callback(link.close)
                    link.begin()
                    await link.accepted
            except TimeoutError:
                raise RealtimeConnectionError(
                    f"{provider.name} did not accept the session within "
                    f"{config.setup_timeout_s:g} s",
                    provider=provider.name,
                    retryable=True,
                    advice="check the network, or raise setup_timeout_s",
                ) from None
            stack.pop_all()
        return link


def taken_over(config: RealtimeConfig, before: Provider, provider: Provider) -> RealtimeConfig:
    """The configuration for a provider that takes over: its own model, and a voice as deep."""
    changes: dict[str, str | None] = {}
    if config.model is not None and config.model not in provider.models:
        changes["model"] = None
    if config.voice is not None and config.voice not in provider.voices:
        low = config.voice in before.low_voices
        alike = [voice for voice in provider.voices if (voice in provider.low_voices) == low]
        changes["voice"] = alike[0] if alike else None
    return config.changed(**changes) if changes else config
