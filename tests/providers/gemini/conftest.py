"""What the Gemini tests share: a started codec, and the messages of a recorded session."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from realtime_facade.config import RealtimeConfig
from realtime_facade.events import Event
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.gemini.codec import GeminiCodec
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
    """A codec spoken to in plain Python: messages in as keywords, events and messages out."""

    def __init__(self, tools: Sequence[ToolDefinition] = (), **settings: Any) -> None:
        config = RealtimeConfig(**settings)
        provider = GeminiProvider(api_key="key")
        profile = provider.profile(config)
        self.codec = GeminiCodec(config, profile, tools)
        (setup,) = self.codec.open().frames
        self.setup: dict[str, Any] = json.loads(setup)["setup"]
        self.frames: list[dict[str, Any]] = []
        """Everything sent so far but the setup, as JSON."""

    def receive(self, **message: Any) -> list[Event]:
        """Hand over a message as the service writes it: indented, in a binary frame."""
        output = self.codec.receive(json.dumps(message, indent=2).encode())
        self.frames += [json.loads(frame) for frame in output.frames]
        return list(output.events)

    def content(self, **content: Any) -> list[Event]:
        return self.receive(serverContent=content)

    def send(self, command: Any) -> list[dict[str, Any]]:
        frames = [json.loads(frame) for frame in self.codec.send(command).frames]
        self.frames += frames
        return frames


@pytest.fixture
def converse() -> Callable[..., Conversation]:
    """Makes a conversation whose setup the service has accepted, unless told otherwise."""

    def start(*, accepted: bool = True, **settings: Any) -> Conversation:
        conversation = Conversation((WEATHER,), **settings)
        if accepted:
            conversation.receive(setupComplete={})
        return conversation

    return start


@pytest.fixture
def conversation(converse: Callable[..., Conversation]) -> Conversation:
    return converse()


@pytest.fixture
def recording() -> Callable[[str], list[dict[str, Any]]]:
    """Loads the messages of a recorded session: `{"direction": ..., "data": ...}`."""
    root = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())
    folder = root.parent / "shared" / "recordings" / "gemini"

    def load(name: str) -> list[dict[str, Any]]:
        if not folder.is_dir():
            pytest.skip(f"no recorded sessions beside the project: {folder.parent} is missing")
        text = (folder / f"{name}.yaml").read_text()
        return list(yaml.safe_load(text)["interactions"])

    return load
