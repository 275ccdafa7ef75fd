"""How a feature takes part in a session: it watches, and it may command."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol

from ..audio.playback import Playback
from ..commands import AnyCommand, Delivery
from ..config import RealtimeConfig
from ..events import Event
from ..providers.base import Profile
from .barge_in import CutReason
from .state import Phase


class Control(Protocol):
    """What a feature may see of its session and do to it. Nothing outlives the session."""

    @property
    def config(self) -> RealtimeConfig:
        """The configuration in force."""
        ...

    @property
    def profile(self) -> Profile:
        """What the provider can do."""
        ...

    @property
    def playback(self) -> Playback:
        """What was heard."""
        ...

    @property
    def phase(self) -> Phase:
        """Whose turn it is."""
        ...

    def execute(self, command: AnyCommand) -> Delivery:
        """Send a command, or keep it for the next connection."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the application something."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run slow work beside the session; cancel the task to give it up."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.Task[None]:
        """Call back after a delay; cancel the task to give it up."""
        ...

    def renew(self, config: RealtimeConfig, reason: str) -> None:
        """Go on over a new connection with this configuration and the whole conversation.

        For what cannot be changed in a running session. What is sent meanwhile waits for it.
        """

    def interrupt(self, reason: CutReason = "request") -> bool:
        """Fall silent now and stop generating; whether there was anything to stop."""
        ...

    def hang_up(self, reason: str) -> None:
        """End the session soon, as if the application had closed it."""


class Observer:
    """Base of all features. Both methods run inside the dispatch, so they must not block."""

    wants_audio: ClassVar[bool] = False
    """Whether it is told of `AppendAudio` and `AudioChunk` too: dozens of them every second."""

    def attach(self, control: Control) -> None:
        """Called once, before anything happens."""

    def on_command(self, command: AnyCommand) -> None:
        """A command is about to be sent."""

    def on_event(self, event: Event) -> None:
        """An event happened; the application gets it afterwards."""

    async def finish(self) -> None:
        """The session is over; close what was opened. Called once, if `attach` was."""
