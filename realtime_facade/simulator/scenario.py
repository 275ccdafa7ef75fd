"""Conversations written down beforehand: what is heard, what is answered, what goes wrong.

The format is described in docs/reference/scenarios.md.
"""

import json
import re
import tomllib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from ..audio.vad import EnergyVad
from ..errors import ConfigurationError
from ..tools.definition import ToolDefinition
from .babble import BabbleVoice, ScriptedRecognizer
from .faults import AnyFault
from .parts import Call, Entry, Message, Parts, Say, Step, ToolOutput


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SayStep(_Table):
    """Speak. `{output}` stands for the last tool output, `{heard}` for the user's words."""

    say: Annotated[str, Field(min_length=1)]


class CallStep(_Table):
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


class Turn(_Table):
    """One thing the user says, and what the assistant does about it."""

    heard: str = ""
    """What the recognizer makes of the user's audio."""
    when: str | None = None
    """A regular expression for the user's words; None: the next turn in order."""
    steps: tuple[AnyStep, ...] = ()

    @field_validator("when")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value


class Scenario(_Table):
    """A whole conversation. Each session plays it from its beginning."""

    name: str = ""
    turns: tuple[Turn, ...] = ()
    otherwise: str = "I have nothing to say to that."
    """Said when no turn is left or none fits."""
    faults: tuple[AnyFault, ...] = ()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigurationError: If it cannot be read or says something that scenarios have not.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the scenario {path} cannot be read: {error}",
                advice="give the path of a TOML file in UTF-8",
            ) from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, *, source: str = "scenario") -> Self:
        """Read TOML text; `source` names it in errors.

        Raises:
            ConfigurationError: Names the line or the turn, and what is allowed there.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(
                f"{source} is not TOML: {error}", advice="see docs/reference/scenarios.md"
            ) from error
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problems = "; ".join(_problem(detail) for detail in error.errors())
            raise ConfigurationError(
                f"{source}: {problems}", advice="see docs/reference/scenarios.md"
            ) from error

    def parts(self) -> Parts:
        """Ears, mind and voice for one session: scripted, and without any dependency."""
        recognizer = ScriptedRecognizer(turn.heard for turn in self.turns if turn.heard)
        return Parts(
            vad=EnergyVad,
            recognizer=lambda _: recognizer,
            mind=lambda: ScenarioMind(self),
            voice=BabbleVoice,
        )


class ScenarioMind:
    """Answers as a scenario says. A turn's steps after its calls wait for their outputs."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._in_order = deque(turn for turn in scenario.turns if turn.when is None)
        self._next: deque[list[SayStep | CallStep]] = deque()

    async def answer(
        self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
    ) -> Sequence[Step]:
        """The next steps of the turn that fits the user's last words."""
        heard = _last_words(conversation)
        if not (conversation and isinstance(conversation[-1], ToolOutput) and self._next):
            self._next = deque(_answers(self._choose(heard)))
        steps = self._next.popleft() if self._next else []
        outputs = [entry.output for entry in conversation if isinstance(entry, ToolOutput)]
        filled = {"{output}": outputs[-1] if outputs else "", "{heard}": heard}
        return [
            Say(_fill(step.say, filled))
            if isinstance(step, SayStep)
            else Call(step.call, step.arguments)
            for step in steps
        ]

    def _choose(self, heard: str) -> Sequence[SayStep | CallStep]:
        for turn in self._scenario.turns:
            if turn.when is not None and re.search(turn.when, heard, re.IGNORECASE):
                return turn.steps
        if self._in_order:
            return self._in_order.popleft().steps
        return (SayStep(say=self._scenario.otherwise),)


def _answers(steps: Sequence[SayStep | CallStep]) -> list[list[SayStep | CallStep]]:
    """Cut a turn into responses: a new one begins where a step has to wait for tool outputs."""
    answers: list[list[SayStep | CallStep]] = []
    called = True
    for step in steps:
        waits = isinstance(step, SayStep) or step.wait
        if not answers or (called and waits):
            answers.append([])
        answers[-1].append(step)
        called = isinstance(step, CallStep)
    return answers


def _last_words(conversation: Sequence[Entry]) -> str:
    for entry in reversed(conversation):
        if isinstance(entry, Message) and entry.role == "user":
            return entry.text
    return ""


def _fill(text: str, values: dict[str, str]) -> str:
    # Not str.format: a tool's output may hold braces, and so may the text.
    return re.sub(r"\{(?:output|heard)\}", lambda match: values[match[0]], text)


def _problem(detail: ErrorDetails) -> str:
    """Where it is, as a person counts, what is wrong, and what would be right."""
    loc = detail["loc"]
    place = _place(loc)
    given = json.dumps(detail["input"], default=str)[:80]
    match detail["type"]:
        case "extra_forbidden":
            allowed = ", ".join(_table(loc).model_fields)
            return f"{place}: there is no such key; possible are {allowed}"
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{place}: 'kind' must be one of {', '.join(_FAULTS)}, in {given}"
        case "tuple_type":
            return f"{place}: write a list or [[{place}]] tables, not {given}"
        case _:
            message = detail["msg"].removeprefix("Value error, ")
            return f"{place}: {message}, not {given}"


_FAULTS: dict[str, type[BaseModel]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(get_args(AnyFault)[0])
}
_STEPS: dict[str, type[BaseModel]] = {"say": SayStep, "call": CallStep}


def _place(loc: tuple[int | str, ...]) -> str:
    words: list[str] = []
    for index, part in enumerate(loc):
        if isinstance(part, int):
            words[-1] += f" {part + 1}"
        # Behind the number of a step or a fault pydantic names its kind, which is no key.
        elif not (index >= 2 and loc[index - 2] in ("steps", "faults")):
            words.append(part)
    return ", ".join(words)


def _table(loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The table that a wrong key was put in."""
    holder = loc[:-1]
    if "steps" in holder:
        return _STEPS[str(holder[-1])]
    if "turns" in holder:
        return Turn
    return _FAULTS[str(holder[-1])] if holder else Scenario
