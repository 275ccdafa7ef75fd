"""What a tool has to be told: kinds of parameters, and how to find their values in words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from ...tools.definition import ToolDefinition
from .moments import MomentFormat, find_moment
from .numbers import find_numbers, join_digits, spoken_number
from .places import PLACES, written_place
from .words import Word, keys, name_words, position_of


class Kind(StrEnum):
    """How a value is said."""

    CHOICE = "choice"
    """One of the schema's values."""
    SWITCH = "switch"
    """On or off, yes or no."""
    NUMBER = "number"
    SPAN = "span"
    """A number of seconds, minutes, hours or days."""
    PLACE = "place"
    MOMENT = "moment"
    """A day, a time of day, or both."""
    SUM = "sum"
    """An arithmetic expression."""
    TEXT = "text"
    """Anything."""
    UNSPEAKABLE = "unspeakable"
    """An object or the like, which nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One parameter of a tool."""

    name: str
    label: tuple[str, ...]
    """Its name as words, without a unit."""
    kind: Kind
    required: bool
    many: bool = False
    """Whether the schema wants a list."""
    choices: tuple[tuple[tuple[str, ...], Any], ...] = ()
    """Words and value of each alternative of a `CHOICE`."""
    integer: bool = False
    maximum: float | None = None
    unit_s: float | None = None
    """Seconds in one unit of a `SPAN`."""
    form: MomentFormat = "words"
    part: Literal["day", "time", "all"] = "all"
    """What of a `MOMENT`: tools with a date and a time have a parameter for each."""


class Found(NamedTuple):
    """A value and the words it was read from: `words[start:stop]`."""

    value: Any
    start: int
    stop: int


UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}
_UNIT_NAMES = {
    **UNITS,
    **{f"{name}s": size for name, size in UNITS.items()},
    "sec": 1.0,
    "secs": 1.0,
    "min": 60.0,
    "mins": 60.0,
    "ms": 0.001,
    "milliseconds": 0.001,
}
_PLACES = frozenset({"city", "location", "place", "town", "destination", "origin"})
_MOMENTS = frozenset({"date", "day", "time", "when", "deadline", "datetime"})
_SUMS = frozenset({"expression", "formula", "equation", "calculation"})
ON = ("on", "yes", "true", "enable", "enabled")
OFF = ("off", "no", "false", "disable", "disabled")
OPERATORS = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "multiplied by": "*",
    "divided by": "/",
    "over": "/",
}
_HALF_MORE = ["and", "a", "half"]
_UNIT_RANGE = re.compile(r"\b0(\.0)? ?(to|and|-|\u2013) ?1(\.0)?\b(?![.\d])")
_RUN = re.compile(r"\d+|[^\s\d]+")
_PLACE_CUES = frozenset({"in", "at", "for", "to", "from", "near", "of"})
_PLACE_ENDS = _PLACE_CUES | {"and", "please", "today", "tomorrow", "tonight", "now", "on", "with"}


def slots_of(tool: ToolDefinition) -> tuple[Slot, ...]:
    """The parameters of a tool, in its schema's order."""
    properties = tool.parameters.get("properties") or {}
    required = tool.parameters.get("required") or ()
    slots = [
        _slot(name, _resolved(schema, tool.parameters), tool.parameters, name in required)
        for name, schema in properties.items()
    ]
    if sum(slot.kind is Kind.MOMENT for slot in slots) > 1:
        slots = [replace(slot, part=_part(slot.label)) for slot in slots]
    return tuple(slots)


def find_values(slot: Slot, words: Sequence[Word], now: datetime) -> list[Found]:
    """Every value for `slot` in the words, in order; none for `TEXT`, which may be anything."""
    said = [word.key for word in words]
    match slot.kind:
        case Kind.CHOICE:
            return _phrases(slot.choices, said)
        case Kind.SWITCH:
            return _phrases([((word,), word in ON) for word in (*ON, *OFF)], said)
        case Kind.PLACE:
            places = [(tuple(place.split()), written_place(place)) for place in PLACES]
            return _phrases(places, said) or _named_place(words)
        case Kind.MOMENT:
            return _moment(slot, said, now)
        case Kind.SPAN:
            return _spans(slot, said) or _numbers(slot, said)
        case Kind.NUMBER:
            return _numbers(slot, said)
        case Kind.SUM:
            return _sums(said)
        case Kind.TEXT | Kind.UNSPEAKABLE:
            return []


def _resolved(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without references, and without the null of optional ones."""
    if not isinstance(schema, dict):
        return {}
    if isinstance(reference := schema.get("$ref"), str):
        target: Any = root
        for part in reference.removeprefix("#/").split("/"):
            target = target.get(part) if isinstance(target, dict) else None
        return _resolved(target, {}) | {k: v for k, v in schema.items() if k != "$ref"}
    for key in ("anyOf", "oneOf", "allOf"):
        options = [_resolved(option, root) for option in schema.get(key) or ()]
        speakable = [option for option in options if option.get("type") != "null"]
        if speakable:
            return {**speakable[0], **{k: v for k, v in schema.items() if k != key}}
    return schema


def _slot(name: str, schema: dict[str, Any], root: dict[str, Any], required: bool) -> Slot:
    words = name_words(name) or ["value"]
    many = schema.get("type") == "array"
    item = _resolved(schema.get("items"), root) if many else schema
    description = str(schema.get("description", "")).lower()
    kind = _kind(words, item, description)
    label = tuple(word for word in words if word not in _UNIT_NAMES and word != "in") or (
        "time" if kind is Kind.SPAN else words[0],
    )
    values = item.get("enum") or ([item["const"]] if "const" in item else ())
    maximum = item.get("maximum", 1 if _UNIT_RANGE.search(description) else None)
    return Slot(
        name=name,
        label=label,
        kind=kind,
        required=required,
        many=many,
        choices=tuple((words, value) for value in values for words in _said(value)),
        integer=item.get("type") == "integer",
        maximum=maximum if isinstance(maximum, int | float) else None,
        unit_s=_unit([*words, *keys(description)]) if kind is Kind.SPAN else None,
        form=_form(item, words, description),
    )


def _kind(words: Sequence[str], schema: dict[str, Any], description: str) -> Kind:
    if schema.get("enum") or "const" in schema:
        return Kind.CHOICE
    match schema.get("type", "string"):
        case "boolean":
            return Kind.SWITCH
        case "integer" | "number":
            spans = _unit(words) or ("duration" in words and _unit(keys(description)))
            return Kind.SPAN if spans else Kind.NUMBER
        case "string":
            if schema.get("format") in ("date", "time", "date-time") or _MOMENTS & set(words):
                return Kind.MOMENT
            if _PLACES & set(words):
                return Kind.PLACE
            return Kind.SUM if _SUMS & set(words) else Kind.TEXT
        case _:
            return Kind.UNSPEAKABLE


def _form(schema: dict[str, Any], words: Sequence[str], description: str) -> MomentFormat:
    match schema.get("format"):
        case "date":
            return "date"
        case "time":
            return "time"
        case "date-time":
            return "date-time"
    if "yyyy-mm-dd" in description:
        return "date-time" if re.search("hh|time", description) else "date"
    if "hh:mm" in description:
        return "time"
    if "iso" in keys(description):
        return "time" if "time" in words else "date" if "date" in words else "date-time"
    return "words"


def _said(value: Any) -> list[tuple[str, ...]]:
    """How an alternative is written and pronounced; empty for one that is neither."""
    if isinstance(value, bool):
        return [("yes" if value else "no",)]
    if isinstance(value, str):
        written = name_words(value)
        spoken = [word for part in _RUN.findall(" ".join(written)) for word in _spoken(part)]
    elif isinstance(value, int):
        written, spoken = [str(value)], _spoken(str(value))
    else:
        return []
    return list(dict.fromkeys(tuple(words) for words in (written, spoken) if words))


def _spoken(part: str) -> list[str]:
    if part.isdecimal() and len(part) < 10:
        return spoken_number(int(part)).split()
    return [part]


def _unit(words: Sequence[str]) -> float | None:
    return next((_UNIT_NAMES[word] for word in words if word in _UNIT_NAMES), None)


def _phrases(choices: Sequence[tuple[tuple[str, ...], Any]], said: Sequence[str]) -> list[Found]:
    """Longest first, so that `new york` is not `york`."""
    found: list[Found] = []
    for phrase, value in sorted(choices, key=lambda choice: -len(choice[0])):
        start = position_of(phrase, said)
        while start is not None:
            stop = start + len(phrase)
            if all(stop <= other.start or start >= other.stop for other in found):
                found.append(Found(value, start, stop))
            start = position_of(phrase, said, stop)
    return sorted(found, key=lambda value: value.start)


def _named_place(words: Sequence[Word]) -> list[Found]:
    """A place nobody told us about: what follows `in`, `at` or `for`."""
    for index, word in enumerate(words):
        if word.key not in _PLACE_CUES:
            continue
        stop = index + 1
        while stop < len(words) and words[stop].key not in _PLACE_ENDS:
            stop += 1
        name = " ".join(word.text for word in words[index + 1 : stop])
        if name:
            return [Found(name if name != name.lower() else name.title(), index + 1, stop)]
    return []


def _moment(slot: Slot, said: Sequence[str], now: datetime) -> list[Found]:
    moment = find_moment(said, now)
    if moment is None:
        return []
    words = {"day": moment.day_words, "time": moment.time_words, "all": moment.words}[slot.part]
    value = " ".join(said[words]) if slot.form == "words" else moment.iso(slot.form, now)
    return [Found(value, words.start, words.stop)] if value else []


def _part(label: Sequence[str]) -> Literal["day", "time", "all"]:
    if "time" in label and "date" not in label:
        return "time"
    return "day" if {"date", "day"} & set(label) and "time" not in label else "all"


def _numbers(slot: Slot, said: Sequence[str]) -> list[Found]:
    numbers = find_numbers(said)
    joined = join_digits(numbers) if slot.integer and not slot.many else None
    found = []
    for number in [joined] if joined else numbers:
        value: float = number.value
        if said[number.stop : number.stop + 1] == ["percent"] and slot.maximum == 1:
            value /= 100
        found.append(Found(_typed(slot, value), number.start, number.stop))
    return found


def _spans(slot: Slot, said: list[str]) -> list[Found]:
    """All spans together as one, in the slot's unit: `an hour and ten minutes`."""
    parts: list[Found] = []
    for index, word in enumerate(said):
        if word not in _UNIT_NAMES or index == 0:
            continue
        size = _UNIT_NAMES[word]
        before = [number for number in find_numbers(said[:index]) if number.stop == index]
        if before:
            parts.append(Found(before[-1].value * size, before[-1].start, index + 1))
        elif said[index - 1] in ("a", "an", "half"):
            start = index - 1
            half = "half" in said[max(0, index - 2) : index]
            start -= half and said[index - 1] != "half"
            parts.append(Found(size / 2 if half else size, start, index + 1))
        if parts and parts[-1].stop == index + 1 and said[index + 1 : index + 4] == _HALF_MORE:
            parts.append(Found(size / 2, index + 1, index + 4))
    if not parts:
        return []
    seconds = sum(part.value for part in parts)
    value = _typed(slot, seconds / (slot.unit_s or 1.0))
    return [Found(value, parts[0].start, parts[-1].stop)]


def _typed(slot: Slot, value: float) -> int | float:
    return round(value) if slot.integer else float(value)


def _sums(said: Sequence[str]) -> list[Found]:
    """The first chain of numbers and operators, in symbols: `2 + 3 * 4`."""
    numbers = find_numbers(said)
    for first, number in enumerate(numbers):
        parts, stop = [_symbol(number.value)], number.stop
        for following in numbers[first + 1 :]:
            operator = OPERATORS.get(" ".join(said[stop : following.start]))
            if operator is None:
                break
            parts += [operator, _symbol(following.value)]
            stop = following.stop
        if len(parts) > 1:
            return [Found(" ".join(parts), number.start, stop)]
    return []


def _symbol(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
