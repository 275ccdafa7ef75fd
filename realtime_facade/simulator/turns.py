"""What a scenario consists of: turns, and in them the steps of an answer."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator


class Table(BaseModel):
    """Anything in a scenario; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SayStep(Table):
    """Speak. `{output}` stands for the last tool output, `{heard}` for the user's words."""

    say: Annotated[str, Field(min_length=1)]


class CallStep(Table):
    """Ask for a tool. Calls that follow each other are asked for together."""

    call: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    arguments: dict[str, Any] = Field(default_factory=dict)
    wait: bool = False
    """Ask only after the outputs of the calls before."""


def _kind(value: object) -> str | None:
    if isinstance(value, dict):
        return "say" if "say" in value else "call" if "call" in value else None
    return "say" if isinstance(value, SayStep) else "call"


AnyStep = Annotated[
    Annotated[SayStep, Tag("say")] | Annotated[CallStep, Tag("call")],
    Discriminator(
        _kind,
        custom_error_type="step",
        custom_error_message='a step is { say = "..." } or { call = "tool", arguments = {...} }',
    ),
]


class Turn(Table):
    """One thing the user says, and what the assistant does about it."""

    heard: str = ""
    """What the recognizer makes of the user's audio."""
    when: str | None = None
    """A regular expression for the user's words; None: the next turn in order."""
    asked: str | None = None
    """A regular expression for the instructions of one answer: it is given when they fit, instead
    of what would come next."""
    steps: tuple[AnyStep, ...] = ()

    @field_validator("when", "asked")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value
