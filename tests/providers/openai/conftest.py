"""What the OpenAI tests share: a started codec, and the messages of recorded sessions."""

import base64
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from realtime_facade.commands import AnyCommand
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import Event
from realtime_facade.providers.base import Output
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.providers.openai.codec import OpenAICodec
from realtime_facade.tools.definition import ToolDefinition

WEATHER = ToolDefinition(
    name="weather",
    description="Weather for a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)


class Conversation:
    """A codec spoken to in plain Python: messages in as keywords, messages and events out."""

    def __init__(self, tools: Sequence[ToolDefinition], **settings: Any) -> None:
        config = RealtimeConfig(**settings)
        provider = OpenAIProvider(api_key="key")
        self.profile = provider.profile(config)
        self.codec = OpenAICodec(config, self.profile, tools)
        assert self.codec.open() == Output()
        self.sent: list[dict[str, Any]] = []
        """Every message sent so far."""

    def receive(self, name: str, /, **fields: Any) -> list[Event]:
        output = self.codec.receive(json.dumps({"type": name, "event_id": "event_1", **fields}))
        self.sent += map(json.loads, output.frames)
        return list(output.events)

    def send(self, command: AnyCommand) -> list[Event]:
        output = self.codec.send(command)
        self.sent += map(json.loads, output.frames)
        return list(output.events)

    def take(self) -> list[dict[str, Any]]:
        """The messages sent since the last call."""
        taken, self.sent = self.sent, []
        return taken

    def names(self) -> list[str]:
        """The types of the messages sent since the last call."""
        return [message["type"] for message in self.take()]

    def start(self) -> "Conversation":
        self.receive("session.created", session={"id": "sess_1"})
        self.receive("session.updated", session={"id": "sess_1", "model": "m", "expires_at": 9})
        self.sent.clear()
        return self

    def created(self, response_id: str = "resp_1", **more: Any) -> list[Event]:
        response = {"id": response_id, "status": "in_progress", "conversation_id": "conv_1", **more}
        return self.receive("response.created", response=response)

    def done(self, response_id: str = "resp_1", status: str = "completed", **more: Any):
        response = {"id": response_id, "status": status, "conversation_id": "conv_1", **more}
        return self.receive("response.done", response=response)

    def audio(self, pcm: bytes, item_id: str = "item_1", response_id: str = "resp_1"):
        return self.receive(
            "response.output_audio.delta",
            item_id=item_id,
            response_id=response_id,
            delta=base64.b64encode(pcm).decode(),
        )

    def call(self, call_id: str, arguments: str = "{}", response_id: str = "resp_1"):
        return self.receive(
            "response.function_call_arguments.done",
            call_id=call_id,
            name="weather",
            arguments=arguments,
            response_id=response_id,
            item_id=f"item_{call_id}",
        )

    def error(self, code: str | None, event_id: str | None = None, **more: Any) -> list[Event]:
        fault = {"type": "invalid_request_error", "code": code, "message": "No.", **more}
        return self.receive("error", error={**fault, "event_id": event_id})


@pytest.fixture
def fresh() -> Callable[..., Conversation]:
    """Makes a conversation that has received nothing yet."""
    return lambda tools=(WEATHER,), **settings: Conversation(tools, **settings)


@pytest.fixture
def converse(fresh: Callable[..., Conversation]) -> Callable[..., Conversation]:
    """Makes a conversation whose session has started."""
    return lambda **settings: fresh(**settings).start()


@pytest.fixture
def conversation(converse: Callable[..., Conversation]) -> Conversation:
    return converse()


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded sessions beside the project."""
    root = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())
    folder = root.parent / "shared" / "recordings"
    if not folder.is_dir():
        pytest.skip("no recorded sessions: shared/recordings is not beside the project")
    return folder


@pytest.fixture(scope="session")
def recording(recordings: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Loads one recorded session: a list of `{"direction": ..., "data": ...}`."""

    @functools.cache
    def load(name: str) -> list[dict[str, Any]]:
        text = (recordings / f"{name}.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text)["interactions"]

    return load
