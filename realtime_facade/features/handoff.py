"""Lets another agent take over the conversation: its instructions, tools and voice."""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import BaseModel

from ..config import RealtimeConfig
from ..errors import ConfigurationError, ToolFailed
from ..events import (
    ConnectionChanged,
    Event,
    HandedOff,
    Interrupted,
    ResponseDone,
    TranscriptDelta,
)
from ..guardrails import Guardrail
from ..session.change import update_of
from ..session.observer import Control, Observer
from ..tools.function import FunctionTool
from ..tools.inject import Inject
from ..tools.registry import Tools

_FIELDS = ("instructions", "voice", "tools", "tool_choice")
"""What of an agent's configuration comes with it."""
QUIET_S = 0.5
"""Generation is faster than speech: an agent of whom nothing came for so long has finished."""
LAST_WORDS_S = 5.0
"""So long an agent may go on before a new connection cuts it short."""


class Role(Protocol):
    """Who the assistant can be. `RealtimeAgent` is one; nothing else of it counts here."""

    @property
    def name(self) -> str:
        """Unique among the agents of a conversation."""
        ...

    @property
    def config(self) -> RealtimeConfig:
        """With its instructions, tools and voice."""
        ...

    @property
    def guardrails(self) -> Sequence[Guardrail]:
        """That count while it speaks."""
        ...

    @property
    def handoffs(self) -> Sequence[Any]:
        """Roles, or `Handoff`s to them, that it may hand the conversation over to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """A way from one agent to another. Made by `realtime_handoff`."""

    agent: Role
    tool_name: str
    tool_description: str
    input_type: type[BaseModel] | None
    first_response: bool | str
    back: bool


def realtime_handoff(
    agent: Role,
    *,
    tool_name: str | None = None,
    tool_description: str | None = None,
    input_type: type[BaseModel] | None = None,
    first_response: bool | str = True,
    back: bool = False,
) -> Handoff:
    """A way to `agent`, which the model sees as a tool.

    Args:
        agent: Who takes over.
        tool_name: None: `transfer_to_` and the agent's name.
        tool_description: When to hand over, for the model.
        input_type: What the model has to say about it, besides nothing or a `reason`; it comes in
            `HandedOff.input`.
        first_response: Whether the agent speaks at once, or what to say first, as an instruction.
            False: it waits for the user.
        back: Whether the agent gets a way back.

    Raises:
        ConfigurationError: If the agent has no name that a tool's name can be made of.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", agent.name.lower()).strip("_")
    if not (tool_name or slug):
        raise ConfigurationError(
            f"nobody can be handed over to {agent.name!r}",
            advice="give the agent a name with Latin letters, or pass tool_name=",
        )
    return Handoff(
        agent=agent,
        tool_name=tool_name or f"transfer_to_{slug}",
        tool_description=tool_description or f"Let {agent.name} take over the conversation.",
        input_type=input_type,
        first_response=first_response,
        back=back,
    )


def equipped(
    role: Role, config: RealtimeConfig | None = None, *, back_to: Role | None = None
) -> RealtimeConfig:
    """The configuration of an agent with the tools by which it can hand over.

    Args:
        role: The agent.
        config: Instead of its own.
        back_to: Whom it gets a way back to.

    Raises:
        ConfigurationError: If two of its tools have one name.
    """
    config = config or role.config
    ways = list(_ways(role))
    if back_to is not None and back_to not in [way.agent for way in ways]:
        ways.append(realtime_handoff(back_to))
    if not ways:
        return config
    return config.changed(tools=Tools([*config.tools, *(_tool(role, way) for way in ways)]))


def reachable(start: Role) -> list[Role]:
    """Everybody who can come to speak, the first one first.

    Raises:
        ConfigurationError: If two of them have one name, or one has tools that do not fit.
    """
    found = [start]
    for role in found:
        found += [way.agent for way in _ways(role) if way.agent not in found]
        Tools(equipped(role).tools)
    names = [role.name for role in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"two agents are named {min(twice)!r}", advice="give each agent a name of its own"
        )
    return found


class Handoffs(Observer):
    """Who the assistant is at the moment.

    What can be changed in the running session is changed there; for anything else, such as a voice
    that is fixed, the conversation goes on over a new connection. An agent without a voice of its
    own speaks with the first one's.

    Args:
        start: Who speaks first.
        config: Instead of its own.

    Raises:
        ConfigurationError: As `reachable` does.
    """

    def __init__(self, start: Role, config: RealtimeConfig | None = None) -> None:
        reachable(start)
        self.current = start
        self._start = start
        self._first = config or start.config
        self._has_spoken = False
        self._saying: set[str] = set()
        """Items of the assistant that are being generated."""
        self._news = asyncio.Event()

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def on_event(self, event: Event) -> None:
        """Follow what the assistant says: some settings are fixed once it has spoken."""
        match event:
            case TranscriptDelta(speaker="assistant"):
                self._has_spoken = True
                self._saying.add(event.item_id)
                if event.is_final:
                    self._saying.discard(event.item_id)
            case ConnectionChanged(state="connected"):
                self._has_spoken = False
                self._saying.clear()
            case ResponseDone() | Interrupted():
                self._saying.clear()
            case _:
                return
        self._news.set()

    async def take_over(self, owner: Role, way: Handoff, reason: str, given: dict[str, Any]) -> str:
        """Go on as another agent; what the model is told.

        Raises:
            ToolFailed: If the conversation is not `owner`'s any more.
            ConfigurationError: If the change cannot be had; everything stays as it was.
        """
        self._check(owner)
        after = self._configured(way, owner)
        if not self._can_change_to(after):
            await self._last_words()
            self._check(owner)
            after = self._configured(way, owner)
        changed = self._changed(after)
        if self._can_change_to(after):
            self._control.execute(update_of(after, changed, self._control.profile))
        else:
            self._control.renew(after, f"{way.agent.name} takes over")
        self.current = way.agent
        self._control.emit(
            HandedOff(
                from_agent=owner.name,
                to_agent=way.agent.name,
                reason=reason,
                input=given,
                voice_changed="voice" in changed,
            )
        )
        return f"You are {self._me} now. Go on with the conversation in this role."

    @property
    def _me(self) -> str:
        return self.current.name

    def _check(self, owner: Role) -> None:
        if self.current is not owner:
            raise ToolFailed(f"the conversation was handed over already: you are {self._me} now")

    def _changed(self, after: RealtimeConfig) -> set[str]:
        before = self._control.config
        return {name for name in _FIELDS if getattr(before, name) != getattr(after, name)}

    def _can_change_to(self, after: RealtimeConfig) -> bool:
        """Whether the running session can be changed so."""
        profile, changed = self._control.profile, self._changed(after)
        fixed = profile.fixed_by_speech if self._has_spoken else frozenset[str]()
        foreign = after.voice is not None and after.voice not in (profile.voices or (after.voice,))
        return changed <= profile.updatable - fixed and not ("voice" in changed and foreign)

    async def _last_words(self) -> None:
        """Let the agent finish its sentence: leaving the connection would cut it short."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                while self._saying:
                    self._news.clear()
                    await asyncio.wait_for(self._news.wait(), QUIET_S)

    def _configured(self, way: Handoff, owner: Role) -> RealtimeConfig:
        own = self._first if way.agent is self._start else way.agent.config
        wanted = equipped(way.agent, own, back_to=owner if way.back else None)
        now = self._control.config
        voice = (wanted.voice or self._first.voice) if "audio" in now.modalities else now.voice
        return now.changed(
            instructions=wanted.instructions,
            voice=voice,
            tools=wanted.tools,
            tool_choice=wanted.tool_choice,
        )


def _ways(role: Role) -> Iterator[Handoff]:
    for way in role.handoffs:
        yield way if isinstance(way, Handoff) else realtime_handoff(way)


def _tool(owner: Role, way: Handoff) -> FunctionTool:
    async def with_reason(
        handoffs: Inject[Handoffs], reason: Annotated[str, "Why, in a few words"] = ""
    ) -> str:
        return await handoffs.take_over(owner, way, reason, {})

    async def with_input(handoffs: Inject[Handoffs], given: BaseModel) -> str:
        told = given.model_dump(mode="json")
        return await handoffs.take_over(owner, way, str(told.get("reason", "")), told)

    return FunctionTool.of(
        with_reason if way.input_type is None else with_input,
        name=way.tool_name,
        description=way.tool_description,
        param_model=way.input_type,
        result_instruction=way.first_response if isinstance(way.first_response, str) else None,
        respond=way.first_response is not False,
    )
