"""Azure: address and key as the service wants them, seen by a server; then a whole turn."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime_facade import (
    AzureOpenAIProvider,
    ConfigurationError,
    RealtimeConfig,
    RealtimeConnectionError,
    RealtimeVoice,
    TranscriptDelta,
    Transcription,
    TurnEnded,
)
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

ENDPOINT = "https://my-resource.openai.azure.com"


def azure(**settings) -> AzureOpenAIProvider:
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "dep", "api_key": "k", **settings}
    return AzureOpenAIProvider(**given)


def url(provider: AzureOpenAIProvider, **config) -> str:
    asked = RealtimeConfig(**config)
    return provider.endpoint(asked, provider.profile(asked)).url


@pytest.mark.parametrize(
    "endpoint",
    [ENDPOINT, ENDPOINT + "/", ENDPOINT + "/openai/v1", ENDPOINT + "/openai/v1/", f" {ENDPOINT}\n"],
)
def test_the_address_is_that_of_the_resource(endpoint):
    expected = "wss://my-resource.openai.azure.com/openai/v1/realtime?model=dep"
    assert url(azure(azure_endpoint=endpoint)) == expected


def test_the_deployment_is_the_conversations_the_providers_or_the_environments(monkeypatch):
    assert url(azure(), model="other").endswith("?model=other")
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_DEPLOYMENT"):
        url(azure(azure_deployment=None))
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "environment")
    assert url(azure(azure_deployment=None)).endswith("?model=environment")


def test_endpoint_and_key_come_from_the_environment(monkeypatch):
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_ENDPOINT"):
        url(azure(azure_endpoint=None))
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://elsewhere.openai.azure.com")
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_API_KEY"):
        url(azure(azure_endpoint=None, api_key=None))
    assert not AzureOpenAIProvider.is_configured()
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from the environment")
    assert AzureOpenAIProvider.is_configured()
    assert RealtimeVoice().provider_name == "azure"


def test_a_key_alone_is_not_enough_to_be_chosen(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    assert RealtimeVoice.configured_providers() == []


def test_a_version_of_the_preview_is_ignored_with_a_warning():
    with pytest.warns(DeprecationWarning, match="ended on 2026-04-30"):
        provider = azure(api_version="2024-12-17")
    assert url(provider) == url(azure())


def test_nothing_of_openai_s_account_goes_to_azure(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project")
    provider, config = azure(), RealtimeConfig()
    endpoint = provider.endpoint(config, provider.profile(config))
    assert endpoint.headers == {"api-key": "k"}
    assert "k'" not in repr(endpoint)


def test_a_deployment_keeps_its_name_and_the_voices_are_openai_s():
    profile = azure(azure_deployment="gpt-4o-realtime-preview").profile(RealtimeConfig())
    assert (profile.provider, profile.model) == ("azure", "gpt-4o-realtime-preview")
    with pytest.raises(ConfigurationError, match="alloy, ash"):
        azure().codec(RealtimeConfig(voice="Puck"), profile, ())


def test_another_key_or_address_keeps_the_rest():
    provider = azure().with_key("other", "http://127.0.0.1:9")
    config = RealtimeConfig()
    endpoint = provider.endpoint(config, provider.profile(config))
    assert endpoint.url == "ws://127.0.0.1:9/openai/v1/realtime?model=dep"
    assert endpoint.headers == {"api-key": "other"}


class Door:
    """A server that notes who knocks, and lets nobody in."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def knock(self, connection: ServerConnection, request: Request) -> Response:
        self.requests.append(request)
        return connection.respond(401, "who are you?")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    noted = Door()

    async def never(connection: ServerConnection) -> None:
        raise AssertionError("nobody gets in")

    async with serve(never, "127.0.0.1", 0, process_request=noted.knock) as server:
        noted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield noted


async def knock(provider: AzureOpenAIProvider) -> RealtimeConnectionError:
    with pytest.raises(RealtimeConnectionError) as caught:
        await RealtimeVoice(provider).connect()
    return caught.value


async def test_a_server_sees_the_deployment_and_the_key(door):
    error = await knock(azure(azure_endpoint=door.url, api_key="secret-azure-key"))
    assert (error.cause, error.provider, error.retryable) == ("authentication", "azure", False)
    assert "secret-azure-key" not in f"{error!r} {error}"
    [request] = door.requests
    parts = urlsplit(request.path)
    assert (parts.path, parse_qs(parts.query)) == ("/openai/v1/realtime", {"model": ["dep"]})
    assert request.headers["api-key"] == "secret-azure-key"
    assert "Authorization" not in request.headers
    assert "OpenAI-Beta" not in request.headers


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_each_connection_has_a_fresh_token(door, asynchronous):
    tokens = iter(["first", "second"])

    def sync() -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return next(tokens)

    async def wait() -> str:
        return next(tokens)

    provider = azure(
        azure_endpoint=door.url,
        api_key=None,
        azure_ad_token_provider=wait if asynchronous else sync,
    )
    for _ in range(2):
        await knock(provider)
    seen = [request.headers["Authorization"] for request in door.requests]
    assert seen == ["Bearer first", "Bearer second"]
    assert all("api-key" not in request.headers for request in door.requests)


async def test_no_token_no_connection(door):
    def fails() -> str:
        raise OSError("a secret in the text")

    error = await knock(azure(azure_endpoint=door.url, azure_ad_token_provider=fails))
    assert error.cause == "authentication"
    assert "a secret" not in f"{error}"
    assert door.requests == []


@pytest.mark.parametrize("transcription", [None, "my-whisper"])
async def test_a_whole_turn(transcription):
    scenario = Scenario.parse('[[turns]]\nsteps = [{ say = "Hello from Azure." }]')
    async with Simulator(scenario=scenario, speed=50) as simulator:
        provider = azure(azure_endpoint=simulator.openai_url.removesuffix("/v1"))
        config = RealtimeConfig(transcription=Transcription(model=transcription))
        async with RealtimeVoice(provider, config).connect() as session, asyncio.timeout(5):
            assert session.provider == "azure"
            warned = [warning.setting for warning in session.warnings]
            assert warned == ([] if transcription else ["transcription"])
            events = session.events()
            await session.send_text("Hello?")
            words = ""
            async for event in events:
                if isinstance(event, TranscriptDelta):
                    words += event.text
                if isinstance(event, TurnEnded):
                    break
        assert words == "Hello from Azure."
