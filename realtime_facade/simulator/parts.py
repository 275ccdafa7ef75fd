"""What a simulated provider is made of; each part can be replaced.

Ears (`Vad`, `Recognizer`), a mind (`Mind`) and a voice (`Voice`). The servers for the two wire
protocols know only these.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..audio.vad import Vad as Vad
from ..tools.definition import ToolDefinition


class Recognizer(Protocol):
    """Writes down one utterance at a time; keeps slow work off the event loop by itself."""

    sample_rate: int
    """Hz that it wants."""

    def feed(self, pcm: bytes) -> None:
        """More audio of the open utterance, mono s16le, while the user is speaking."""

    async def finish(self) -> str:
        """Close the utterance; its words, or "" if nothing was understood."""
        ...

    def reset(self) -> None:
        """Throw the open utterance away."""

    async def close(self) -> None:
        """Release workers."""


class Voice(Protocol):
    """Turns text into speech."""

    sample_rate: int
    """Hz of what `speak` yields."""

    def speak(self, text: str) -> AsyncIterator[bytes]:
        """Chunks of mono s16le, whole samples, as they are synthesized."""
        ...


@dataclass(frozen=True, slots=True)
class Say:
    """Speak (or, in a text session, write) this."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the application to run a tool."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


Step = Say | Call


@dataclass(frozen=True, slots=True)
class Message:
    """What one side said. `text` of a cut answer ends where the listener's hearing ended."""

    role: Literal["user", "assistant", "system"]
    text: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the application answered to a `Call`."""

    name: str
    arguments: dict[str, Any]
    output: str


Entry = Message | ToolOutput
"""The conversation so far is a sequence of these, oldest first."""


class Mind(Protocol):
    """Decides what the assistant says: asked once per response, again after tool outputs."""

    async def answer(
        self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
    ) -> Sequence[Step]:
        """The steps of the next response: any `Say` first, then any `Call`s."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Factories for what each session of a simulator gets."""

    vad: Callable[[], Vad]
    recognizer: Callable[[Sequence[ToolDefinition]], Recognizer]
    """Called when a session starts and when its tools change: they decide what may be said."""
    mind: Callable[[], Mind]
    voice: Callable[[str | None], Voice]
    """Called with the voice's name from the session's configuration."""
    told: Callable[[Entry], None] = lambda entry: None
    """Called with each entry that was not heard or made here: the client wrote it, or an earlier
    session knew it."""
