"""OpenAI's models at Azure: the same protocol at an address of one's own, with its own key."""

import asyncio
import inspect
import os
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar, Self

from ..config import RealtimeConfig
from ..errors import ConfigurationError, RealtimeConnectionError, RealtimeError
from .base import Endpoint, Profile
from .openai import OpenAIProvider

TokenProvider = Callable[[], str | Awaitable[str]]

_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_DEPLOYMENT = "AZURE_OPENAI_DEPLOYMENT"
_PATH = "/openai/v1"
PREVIEW_END = "2026-04-30"


class AzureOpenAIProvider(OpenAIProvider):
    """OpenAI Realtime in an Azure resource.

    Models are deployments there, with names of their own. Deployments of recognizers have to be
    named too (`transcription=Transcription(model=...)`); without one the user's words are not
    written down, and the session says so.

    Args:
        azure_endpoint: Such as `https://my-resource.openai.azure.com`; default:
            `AZURE_OPENAI_ENDPOINT`. `http` and `ws` are for a simulator.
        azure_deployment: The deployment, for configurations that name no model; default:
            `AZURE_OPENAI_DEPLOYMENT`.
        api_version: Of the preview protocol, which ended on 2026-04-30. Accepted with a
            `DeprecationWarning`; the address without a version is used.
        api_key: Default: `AZURE_OPENAI_API_KEY`.
        azure_ad_token_provider: Gives an Entra token instead of a key for each connection, sync
            (called in a thread) or async, such as `azure.identity.get_bearer_token_provider`.
        base_url: Another name for `azure_endpoint`.
    """

    name = "azure"
    env_keys: ClassVar[tuple[str, ...]] = ("AZURE_OPENAI_API_KEY",)
    default_model = ""
    """There is none: deployments have the names that their owner gave them."""
    models: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: str | None = None,
        azure_ad_token_provider: TokenProvider | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(api_key=api_key, base_url=azure_endpoint or base_url)
        self._deployment = azure_deployment
        self._token_provider = azure_ad_token_provider
        if api_version is not None:
            warnings.warn(
                f"api_version={api_version!r} is ignored: dated versions spoke the preview "
                f"protocol, which ended on {PREVIEW_END}; leave it out",
                DeprecationWarning,
                stacklevel=2,
            )

    @classmethod
    def is_configured(cls) -> bool:
        """Whether the environment holds a key and the endpoint it is for."""
        return super().is_configured() and bool(os.environ.get(_ENDPOINT))

    @property
    def url(self) -> str:
        """The endpoint in force, with the path of the API.

        Raises:
            ConfigurationError: If there is no endpoint.
        """
        endpoint = self.base_url or os.environ.get(_ENDPOINT)
        if not endpoint:
            raise ConfigurationError(
                "no endpoint for provider 'azure'",
                provider=self.name,
                advice=f"set {_ENDPOINT}, or pass azure_endpoint=",
            )
        return endpoint.strip().rstrip("/").removesuffix(_PATH) + _PATH

    def profile(self, config: RealtimeConfig) -> Profile:
        """What a deployment can do; its name is taken as it is.

        Raises:
            ConfigurationError: If no deployment is named, or the endpoint is not an address.
        """
        deployment = config.model or self._deployment or os.environ.get(_DEPLOYMENT)
        if not deployment:
            raise ConfigurationError(
                "no deployment for provider 'azure'",
                provider=self.name,
                advice=f"set {_DEPLOYMENT}, or pass azure_deployment=, or model= per conversation",
            )
        return replace(
            super().profile(config),
            model=deployment,
            voices=self.voices,
            default_recognizer=None,
        )

    @asynccontextmanager
    async def serving(self, config: RealtimeConfig, profile: Profile) -> AsyncIterator[Endpoint]:
        """The endpoint, with a fresh token where tokens are used.

        Raises:
            RealtimeConnectionError: If there is no token to be had.
        """
        endpoint = self.endpoint(config, profile)
        if self._token_provider is not None:
            token = await self._token(self._token_provider)
            endpoint = replace(endpoint, headers={"Authorization": f"Bearer {token}"})
        yield endpoint

    async def _token(self, provider: TokenProvider) -> str:
        try:
            token = await asyncio.to_thread(provider)
            return await token if inspect.isawaitable(token) else token
        except RealtimeError:
            raise
        except Exception as error:
            raise RealtimeConnectionError(
                f"no Entra token: {type(error).__name__}",
                provider=self.name,
                cause="authentication",
                advice="check the identity that azure_ad_token_provider signs in with",
            ) from error

    def _headers(self) -> dict[str, str]:
        return {} if self._token_provider else {"api-key": self._header_key()}

    def with_key(self, api_key: str | None, base_url: str | None) -> Self:
        """The same deployment with another key or address."""
        return type(self)(
            azure_endpoint=base_url or self.base_url,
            azure_deployment=self._deployment,
            api_key=api_key or self._api_key,
            azure_ad_token_provider=self._token_provider,
        )
