"""Keys are planted, servers give them back in every way they can, and nobody may ever see them."""

import asyncio
import gc
import http
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime_facade import (
    AzureOpenAIProvider,
    ConnectionChanged,
    ErrorOccurred,
    Event,
    GeminiProvider,
    OpenAIProvider,
    Provider,
    RealtimeConfig,
    RealtimeError,
    RealtimeVoice,
    SessionClosed,
    SessionResumable,
)
from realtime_facade.cli.commands import app
from realtime_facade.commands import SendRaw, UpdateSession
from realtime_facade.providers.base import Past

# Not of the shape of anybody's keys: nothing but knowing them helps.
MARK = "PLANTED"
KEY = f"{MARK}-api-key-0123456789abcdef"
TOKEN = f"{MARK}-mcp-token-0123456789abcdef"
HANDLE = f"{MARK}-handle-0123456789abcdef"
PASSWORD = f"{MARK}-password-0123456789"

OPTIONS = {"tools": [{"type": "mcp", "server_label": "mine", "authorization": TOKEN}]}


@dataclass(frozen=True)
class Row:
    """A provider, and how its server says things."""

    name: str
    make: Callable[[str], Provider]
    config: RealtimeConfig
    greeting: Callable[[ServerConnection], Awaitable[None]]
    echoes: Callable[[str], list[Any]]

    def __str__(self) -> str:
        return self.name


async def greet_as_openai(connection: ServerConnection) -> None:
    await connection.send(json.dumps({"type": "session.created", "session": {"id": "s"}}))
    setup = json.loads(await connection.recv())
    # The real one does not give tokens back; another server may.
    await connection.send(json.dumps({"type": "session.updated", "session": setup["session"]}))


async def greet_as_gemini(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.send(json.dumps({"setupComplete": {}}))
    update = {"newHandle": HANDLE, "resumable": True}
    await connection.send(json.dumps({"sessionResumptionUpdate": update}))


def openai_echoes(secret: str) -> list[Any]:
    return [
        {"type": "error", "error": {"code": "x", "message": f"you are {secret}"}},
        {"type": "error", "error": {"code": secret, "type": secret, "message": ""}},
        {"type": "echo", "headers": {"authorization": f"Bearer {secret}"}, "text": secret},
        {"type": "session.created", "session": {"id": secret}},
        {"type": "response.created", "response": {"id": secret}},
        {"type": "response.output_text.delta", "item_id": secret, "delta": secret},
        {
            "type": "response.done",
            "response": {
                "id": secret,
                "status": "failed",
                "status_details": {"error": {"message": secret, "code": secret}},
            },
        },
        {"type": "response.done", "response": secret},
        f"not JSON: {secret}",
    ]


def gemini_echoes(secret: str) -> list[Any]:
    return [
        {"error": {"code": 400, "status": secret, "message": f"you are {secret}"}},
        {"echo": {"x-goog-api-key": secret, "text": secret}},
        {"serverContent": {"outputTranscription": {"text": secret}}},
        {"serverContent": {"turnComplete": True, "turnCompleteReason": secret}},
        {"toolCall": {"functionCalls": [{"id": secret, "name": secret, "args": {"a": secret}}]}},
        {"serverContent": secret},
        f"not JSON: {secret}",
    ]


ROWS = [
    Row(
        "openai",
        lambda url: OpenAIProvider(api_key=KEY, base_url=url),
        RealtimeConfig(provider_options=OPTIONS),
        greet_as_openai,
        openai_echoes,
    ),
    Row(
        "azure",
        lambda url: AzureOpenAIProvider(
            api_key=KEY, azure_endpoint=url, azure_deployment="deployed"
        ),
        RealtimeConfig(provider_options=OPTIONS),
        greet_as_openai,
        openai_echoes,
    ),
    Row(
        "gemini",
        lambda url: GeminiProvider(api_key=KEY, base_url=url),
        RealtimeConfig(),
        greet_as_gemini,
        gemini_echoes,
    ),
]


class Witness(logging.Handler):
    """Sees and keeps everything that anybody could see."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(logging.Formatter("%(name)s %(message)s").format(record))

    def event(self, event: Event) -> None:
        self.seen += [repr(event), str(event)]
        # The handle itself is there for who asks for it, and only so.
        hidden = {"handle"} if isinstance(event, SessionResumable) else None
        self.seen.append(event.model_dump_json(exclude=hidden))
        if isinstance(event, ErrorOccurred):
            self.error(event.to_exception())

    def error(self, error: BaseException) -> None:
        self.seen += [str(error), repr(error), *traceback.format_exception(error)]
        self.seen.append(str(vars(error)))
        for other in (error.__cause__, error.__context__):
            if other is not None:
                self.error(other)

    def file(self, path: Path) -> None:
        self.seen.append(path.read_text())
        for arguments in (["replay", str(path)], ["replay", str(path), "--json"]):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
            self.seen.append(result.output)

    def assert_saw_none(self) -> None:
        assert self.seen, "it has seen nothing at all"
        found = [text for text in self.seen if MARK in text]
        assert not found, found[0]


@pytest.fixture
def witness() -> Iterator[Witness]:
    witness = Witness()
    root = logging.getLogger()
    before = root.level
    root.addHandler(witness)
    root.setLevel(logging.DEBUG)
    # A server in this process logs headers too; the client's log is what is looked at.
    server = logging.getLogger("websockets.server")
    server.setLevel(logging.INFO)
    yield witness
    server.setLevel(logging.NOTSET)
    root.setLevel(before)
    root.removeHandler(witness)


@pytest.fixture(params=ROWS, ids=str)
def row(request: pytest.FixtureRequest) -> Row:
    return request.param


@asynccontextmanager
async def listening(handler: Any, **settings: Any) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **settings) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def fails(voice: RealtimeVoice, witness: Witness) -> RealtimeError:
    with pytest.raises(RealtimeError) as caught:
        async with asyncio.timeout(5):
            await voice.connect()
    witness.error(caught.value)
    return caught.value


async def test_a_server_gives_keys_back_and_hangs_up(row: Row, witness: Witness, tmp_path: Path):
    secrets = [KEY, TOKEN] if row.config.provider_options else [KEY]

    async def give_back(connection: ServerConnection) -> None:
        await row.greeting(connection)
        for secret in secrets:
            for message in row.echoes(secret):
                text = message if isinstance(message, str) else json.dumps(message)
                await connection.send(text)
        await connection.close(1008, f"bye {KEY}")

    path = tmp_path / "talk.jsonl"
    async with listening(give_back) as url:
        provider = row.make(url)
        config = row.config.changed(setup_timeout_s=2, reconnect=False)
        voice = RealtimeVoice(provider, config, record_to=path)
        voice.on(Event)(witness.event)
        async with asyncio.timeout(8), voice.connect() as session:
            ended = await session.wait_closed()
            assert isinstance(ended, RealtimeError)
            assert "bye" in ended.message
            witness.error(ended)
            with pytest.raises(SessionClosed) as caught:
                await session.send_text("still there?")
            witness.error(caught.value)
            profile = provider.profile(config)
            witness.seen += map(
                repr,
                [
                    *(voice, provider, session, session.config, config, session.history, profile),
                    provider.endpoint(config, profile),
                    Past(handle=HANDLE),
                    SendRaw(data={"authorization": TOKEN}),
                    UpdateSession(config=config, changed=frozenset({"voice"})),
                    provider.codec(config, profile, ()),
                ],
            )
    assert sum("Error" in text or "error" in text for text in witness.seen) > 3
    witness.file(path)
    witness.assert_saw_none()


async def test_a_connection_that_is_made_again(row: Row, witness: Witness, tmp_path: Path):
    told: list[str] = []

    async def break_once(connection: ServerConnection) -> None:
        assert connection.request is not None
        told.append(str(connection.request.headers))
        await row.greeting(connection)
        if len(told) == 1:
            await connection.close(1012, f"back soon, {KEY}")
        await connection.wait_closed()

    path = tmp_path / "talk.jsonl"
    async with listening(break_once) as url:
        voice = RealtimeVoice(row.make(url), row.config, record_to=path)
        voice.on(Event)(witness.event)
        async with asyncio.timeout(8), voice.connect() as session:
            async for event in session.events():
                if isinstance(event, ConnectionChanged) and event.state == "connected":
                    break
    assert len(told) == 2
    assert KEY in told[1]
    witness.file(path)
    assert witness.seen[-2].count(" connected ") == 2
    witness.assert_saw_none()


async def test_a_server_refuses_with_everything_it_was_told(row: Row, witness: Witness):
    def refuse(connection: ServerConnection, request: Request) -> Response:
        told = f"{request.path} {dict(request.headers)}"
        body = json.dumps({"error": {"code": KEY, "message": told, "type": KEY}})
        response = connection.respond(http.HTTPStatus.UNAUTHORIZED, body)
        response.headers["X-Echo"] = KEY
        return response

    async with listening(lambda _: None, process_request=refuse) as url:
        error = await fails(RealtimeVoice(row.make(url), row.config), witness)
    assert error.cause == "authentication"
    witness.assert_saw_none()


async def test_a_redirect_does_not_get_the_key(row: Row, witness: Witness):
    stolen: list[str] = []

    def steal(connection: ServerConnection, request: Request) -> Response:
        stolen.append(str(dict(request.headers)))
        return connection.respond(http.HTTPStatus.OK, "thanks")

    async with listening(lambda _: None, process_request=steal) as thief:

        def redirect(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(http.HTTPStatus.FOUND, "")
            response.headers["Location"] = thief.replace("http", "ws") + f"/?{KEY}"
            return response

        async with listening(lambda _: None, process_request=redirect) as url:
            error = await fails(RealtimeVoice(row.make(url), row.config), witness)
    assert error.code == "302"
    assert stolen == []
    witness.assert_saw_none()


async def test_nobody_listens(row: Row, witness: Witness):
    async with listening(lambda _: None) as url:
        pass
    await fails(RealtimeVoice(row.make(url), row.config), witness)
    witness.assert_saw_none()


async def test_a_server_that_speaks_no_http(row: Row, witness: Witness):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Fine\r\nX-Echo: " + KEY.encode() + b"\r\nnonsense" + asked)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        await fails(RealtimeVoice(row.make(url), row.config), witness)
    witness.assert_saw_none()


@pytest.mark.parametrize("kind", [OpenAIProvider, GeminiProvider])
async def test_credentials_in_an_address(kind: type[Provider], witness: Witness):
    url = f"https://me:{PASSWORD}@127.0.0.1:9/v1"
    error = await fails(RealtimeVoice(kind(api_key=KEY, base_url=url)), witness)
    assert error.cause == "configuration"
    witness.assert_saw_none()


async def test_credentials_of_a_proxy(witness: Witness, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("https_proxy", f"http://me:{PASSWORD}@127.0.0.1:9")
    provider = OpenAIProvider(api_key=KEY, base_url="https://nowhere.invalid/v1")
    await fails(RealtimeVoice(provider), witness)
    monkeypatch.setenv("https_proxy", f"nonsense://me:{PASSWORD}@127.0.0.1:9")
    await fails(RealtimeVoice(provider), witness)
    witness.assert_saw_none()


def test_a_key_under_a_wrong_name_is_not_in_the_error(witness: Witness):
    for wrong in ({"api_key": KEY}, {"model": {KEY: 1}}, {"provider_options": KEY}):
        with pytest.raises(ValueError, match=r".") as caught:
            RealtimeConfig(**wrong)
        witness.error(caught.value)
    witness.assert_saw_none()


def test_a_key_with_a_line_break_is_not_in_the_error(row: Row, witness: Witness):
    broken = row.make("http://127.0.0.1:9")
    broken._api_key = f"{KEY}\n{KEY}"
    with pytest.raises(RealtimeError) as caught:
        broken.endpoint(row.config, broken.profile(row.config))
    witness.error(caught.value)
    witness.assert_saw_none()


def test_the_list_of_providers_tells_no_key(witness: Witness, monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    for arguments in (["providers"], ["providers", "--json"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0
        witness.seen.append(result.output)
    assert "openai" in witness.seen[0]
    witness.assert_saw_none()


def test_the_witness_sees_what_it_should(witness: Witness):
    logging.getLogger("websockets.client").debug("> Authorization: %s", KEY)
    try:
        raise RuntimeError(KEY)
    except RuntimeError as error:
        witness.error(error)
    assert sum(MARK in text for text in witness.seen) >= 4
    gc.collect()
