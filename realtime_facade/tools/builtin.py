"""Tools that most assistants want; nobody has them who does not ask for them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from ..errors import ConfigurationError, ToolFailed
from .inject import Inject
from .registry import Tools

SLOWEST, FASTEST, STEP = 0.25, 1.5, 0.2


@runtime_checkable
class HasVolume(Protocol):
    """What plays the assistant's voice, such as an agent."""

    volume: float
    """0.0 (silent) to 1.0."""


@runtime_checkable
class Changeable(Protocol):
    """What the conversation is configured by, such as a session."""

    @property
    def config(self) -> Any:
        """With `speed`, 1.0 being usual."""
        ...

    async def update(self, **changes: Any) -> None:
        """Change the configuration; `ConfigurationError` where that cannot be had."""


@runtime_checkable
class Leaves(Protocol):
    """What ends the conversation."""

    def leave(self, reason: str) -> None:
        """End it once the assistant's good-bye was heard."""


_ALL = Tools()


def builtin_tools(*names: str) -> Tools:
    """Ready-made tools: `RealtimeAgent(tools=[my_tools, builtin_tools()])`.

    Args:
        names: Of `get_current_time`, `adjust_volume`, `change_assistant_response_speed` and
            `stop_assistant_run`; none: all of them.

    Raises:
        ConfigurationError: If there is none of a name.
    """
    unknown = set(names) - set(_ALL.names)
    if unknown:
        raise ConfigurationError(
            f"there is no ready-made tool {min(unknown)!r}",
            advice=f"these are: {', '.join(_ALL.names)}",
        )
    return Tools(tool for tool in _ALL if not names or tool.name in names)


@_ALL.action("Get the current time, as HH:MM:SS.")
def get_current_time(
    timezone: Annotated[
        str | None, "IANA name such as Europe/Paris; leave it out for the time here"
    ] = None,
) -> str:
    """The time of day."""
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (KeyError, ValueError, OSError):
        raise ToolFailed(
            f"there is no time zone {timezone!r}; use an IANA name such as Europe/Paris"
        ) from None
    return datetime.now(zone).strftime("%H:%M:%S")


@_ALL.action("Set how loud the assistant's voice is.")
async def adjust_volume(
    level: Annotated[float, "From 0.0, silent, to 1.0, loudest"], output: Inject[HasVolume]
) -> str:
    """Set the volume."""
    if not 0 <= level <= 1:
        raise ToolFailed(f"the volume goes from 0.0 to 1.0, not to {level:g}")
    output.volume = level
    return f"The volume is {level:.0%} now."


@_ALL.action("Speak faster or slower from now on.")
async def change_assistant_response_speed(
    instructions: Literal["faster", "slower"], session: Inject[Changeable]
) -> str:
    """Change the pace of speech by a step."""
    now = session.config.speed or 1.0
    wanted = now + STEP if instructions == "faster" else now - STEP
    speed = round(min(max(wanted, SLOWEST), FASTEST), 2)
    if speed == now:
        return f"This is the {'fastest' if instructions == 'faster' else 'slowest'} already."
    try:
        await session.update(speed=speed)
    except ConfigurationError:
        return f"The pace of the voice cannot be set here. Try to speak {instructions} yourself."
    return f"The voice speaks at {speed:.0%} of its usual pace now."


@_ALL.action(
    "End the conversation, when the user says good-bye or asks to stop.",
    result_instruction="Say good-bye in a few words.",
)
async def stop_assistant_run(conversation: Inject[Leaves]) -> str:
    """Leave after the good-bye."""
    conversation.leave("the user wanted to stop")
    return "The conversation ends after your next words."
