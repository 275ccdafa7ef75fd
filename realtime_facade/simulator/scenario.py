"""Conversations written down beforehand: what is heard, what is answered, what goes wrong.

The format is described in docs/reference/scenarios.md.
"""

import json
import tomllib
from pathlib import Path
from typing import Self, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..audio.vad import EnergyVad
from ..errors import ConfigurationError
from .babble import BabbleVoice
from .faults import AnyFault
from .mind import ScenarioMind, ScenarioRecognizer
from .parts import Parts
from .turns import CallStep, SayStep, Table, Turn


class Scenario(Table):
    """A whole conversation. Each session plays it from its beginning, or goes on where the
    conversation is that it is told of."""

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
        turns = tuple(turn for turn in self.turns if turn.asked is None)
        asked = tuple(turn for turn in self.turns if turn.asked is not None)
        recognizer = ScenarioRecognizer(turns)
        return Parts(
            vad=EnergyVad,
            recognizer=lambda _: recognizer,
            mind=lambda: ScenarioMind(turns, self.otherwise, asked),
            voice=BabbleVoice,
            told=recognizer.told,
        )


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
