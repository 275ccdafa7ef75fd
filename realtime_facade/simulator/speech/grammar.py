"""Writes down, as a JSGF grammar, everything that the local mind could do something with."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...tools.definition import ToolDefinition
from .moments import MONTHS, ORDINALS, WEEKDAYS
from .numbers import DIGITS, TEENS, TENS
from .places import FAMOUS, PLACES
from .skills import Skill
from .slots import OPERATORS, UNITS, Kind, Slot
from .wits import DAY, HELP, REPEATS, SMALL_TALK, TIME
from .words import keys

SOUNDS = {f"xx{phone.lower()}": phone for phone in ("AA", "IY", "UW", "S", "T", "M", "L")}
"""Words for free speech: a row of these single phones can follow any speech.

Seven are enough for that and cheap: with them decoding takes 2 % of the time that speaking takes,
with all 39 phones it takes longer than speaking.
"""

_SAYABLE = re.compile(r"[a-z][a-z'.]*(?: [a-z][a-z'.]*)*")
_IN_RULES = re.compile(r"<[^>]*>|/[^/]*/|([a-z][a-z'.]*)")


def _any_of(parts: Iterable[str]) -> str:
    """A group of alternatives."""
    return f"({'|'.join(dict.fromkeys(parts))})"


_UNIT_WORDS = [word for unit in UNITS for word in (unit, f"{unit}s")]
_RULES = {
    "any": f"{_any_of(SOUNDS)}+",
    "unit": _any_of(DIGITS[1:]),
    "small": f"{_any_of([*TEENS, '<unit>'])}|{_any_of(TENS)} [<unit>]",
    "number": "[minus] (zero|<small>|(<unit>|a) hundred [[and] <small>])",
    "decimal": "<number> [point (zero|<unit>)+]",
    "digits": "(zero|oh|<unit>)+",
    "timespan": f"(<small>|a) {_any_of(_UNIT_WORDS)}|[half] an hour|half a minute",
    "span": "<timespan> [and (<timespan>|a half)]",
    "place": "|".join(f"/{10 if name in FAMOUS else 1}/ {name}" for name in PLACES),
    "places": "<place> [and <place>]",
    "switch": "on|off|yes|no",
    "sum": f"<number> ({_any_of(OPERATORS)} <number>)+",
    "day": "today|tonight|[the] day after tomorrow|tomorrow|[this|next] "
    + f"{_any_of(WEEKDAYS)}|{_any_of(MONTHS)} [the] {_any_of(ORDINALS)}",
    "hour": f"{_any_of([*DIGITS[1:], *TEENS[:3]])}",
    "half": "a.m.|p.m.|in the (morning|afternoon|evening)",
    "clock": "noon|midnight|<hour> [o'clock|ten|fifteen|twenty|thirty|forty|forty five|fifty]"
    " [<half>]|(half past|[a] quarter past|[a] quarter to|ten past|ten to|five past|five to)"
    " <hour> [<half>]",
    "moment": "<day> [at <clock>]|[at] <clock> [<day>]",
    "lead": "please|stop|stop please|please stop|wait|no|no wait|okay|hey|hello|sorry|actually",
    "asking": "what is|what's|what are|how is|how's|tell me|show me|give me|get|check|find"
    "|do you know|can you tell me|what about|how about",
    "wish": "can you|could you|i want to|i would like to|please",
}
_VALUES = {
    Kind.SWITCH: "switch",
    Kind.NUMBER: "number",
    Kind.SPAN: "span",
    Kind.PLACE: "places",
    Kind.MOMENT: "moment",
    Kind.SUM: "sum",
}
_UNASKED = 1e-3
"""Weight of bare values: they answer a question, which most utterances do not."""
_UNEXPECTED = 1e-20
"""Weight of free speech against the phrases."""
_ANSWERED = {
    Kind.CHOICE: "[the]",
    Kind.SWITCH: "",
    Kind.NUMBER: "",
    Kind.SPAN: "[for]",
    Kind.PLACE: "[in|for]",
    Kind.MOMENT: "[on|at]",
    Kind.SUM: "",
}
"""What stands before a value that was asked for."""
_CODES = frozenset({"id", "code", "pin", "phone", "number", "zip"})
"""Numbers with such names are said digit by digit."""
_ARTICLES = ("the", "a", "an", "my", "some")
_BEFORE = {
    Kind.CHOICE: "[in|for|to|at|on|with|of] [the]",
    Kind.SWITCH: "",
    Kind.NUMBER: "[to|for|of|at|by|with|number|in]",
    Kind.SPAN: "[for|to|of|in|with]",
    Kind.PLACE: "[in|for|at|of|from|to]",
    Kind.MOMENT: "[for|on|at|from]",
    Kind.SUM: "[of]",
}


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be said."""

    jsgf: str
    words: frozenset[str]
    """All words in it, those of `SOUNDS` too."""


def grammar_for(tools: Sequence[ToolDefinition]) -> Grammar:
    """All small talk, and ways to ask for each tool, to answer what it asks, and to cut in."""
    rules: dict[str, str] = {}
    requests = [*HELP, *TIME, *DAY, f"{_any_of(REPEATS)} <any>"]
    answers: list[str] = []
    for number, tool in enumerate(tools):
        skill = Skill(tool)
        values: list[str] = []
        for index, slot in enumerate(skill.slots):
            value = _value(slot)
            if slot.kind is Kind.CHOICE and value:
                rules[name := f"choice{number}x{index}"] = value
                value = f"<{name}>"
            values.append(value)
        if request := _request(skill, values):
            requests.append(request)
        answers += [
            f"{_ANSWERED[s.kind]} {v}" for s, v in zip(skill.slots, values, strict=True) if v
        ]
    talk = [phrase for phrases, _ in SMALL_TALK for phrase in phrases]
    rules["request"] = "|".join(dict.fromkeys(requests))
    # Nothing comes before small talk and answers: "stop on" would be a likely "stop".
    rules["talk"] = "|".join(talk)
    if answers:
        rules["answer"] = "|".join(dict.fromkeys(answers))
    text = (
        "public <command> = /1.0/ (/20/ <NULL>|/1/ <lead>) <request> [please]"
        " | /1.0/ <talk> [please]"
        + (f" | /{_UNASKED}/ <answer> [please]" if answers else "")
        + f" | /{_UNEXPECTED}/ <any>;\n{_written(rules)}"
    )
    words = frozenset(found[1] for found in _IN_RULES.finditer(text) if found[1]) - {"public"}
    return Grammar(f"#JSGF V1.0;\ngrammar command;\n{text}", words)


def _value(slot: Slot) -> str:
    """What may be said for a parameter; empty if nothing certain can."""
    if slot.kind is Kind.CHOICE:
        said = [p for p in (" ".join(words) for words, _ in slot.choices) if _sayable(p)]
        return _any_of(said) if said else ""
    if slot.kind is Kind.NUMBER and _CODES & set(slot.label):
        return "<digits>"
    if slot.kind is Kind.NUMBER:
        return "<number>" if slot.integer else "<decimal>"
    return f"<{_VALUES[slot.kind]}>" if slot.kind in _VALUES else ""


def _request(skill: Skill, values: Sequence[str]) -> str:
    """The ways to ask for a tool; each value once, for the decoder copies rules."""
    nouns = [noun for noun in skill.nouns if _sayable(noun)]
    noun = f"{_article(skill)} {_any_of(nouns)}" if nouns else ""
    verbs = [verb for verb in skill.verbs if _sayable(verb)]
    tail = _tail(skill, values)
    free = any(slot.kind is Kind.TEXT for slot in skill.slots)
    if free:
        tail += " [[for|about|that|to|called|named|saying] <any>]"
    asking = ["<asking>"] if skill.asks or not verbs else []
    if any(slot.kind is Kind.SUM for slot in skill.slots):
        return f"[<asking>|{_any_of([*verbs, *nouns])}] <sum>"
    if not noun:
        return f"[<wish>] {_any_of(verbs)} {tail}" if verbs else ""
    between = [
        f"[{value}]" if slot.kind is Kind.SWITCH else "[a <small> (second|minute|hour|day)]"
        for slot, value in zip(skill.slots, values, strict=True)
        if value and slot.kind in (Kind.SWITCH, Kind.SPAN)
    ]
    doing = [f"[<wish>] {_any_of(verbs)} [me] {' '.join(between)}"] if verbs else []
    opening = f"[{'|'.join([*asking, *doing])}]"
    if verbs and free and not skill.asks:
        return f"[<wish>] {_any_of(verbs)} [{noun}] {tail}"
    return f"{opening} {noun} [like] {tail}" if asking else f"{opening} {noun} {tail}"


def _article(skill: Skill) -> str:
    """The one in the tool's description is by far the likeliest; they all sound alike."""
    told = keys(skill.tool.description)[:3]
    natural = next((word for word in told if word in _ARTICLES), "the")
    others = [word for word in ("the", "a", "my", "<NULL>") if word != natural]
    return f"(/1000/ {natural}|{'|'.join(f'/1/ {word}' for word in others)})"


def _tail(skill: Skill, values: Sequence[str]) -> str:
    parts = [
        f"{_BEFORE[slot.kind]} {_label(slot)} {value}"
        for slot, value in zip(skill.slots, values, strict=True)
        if value and slot.kind is not Kind.SUM
    ]
    # A date and a time are said alike.
    parts = list(dict.fromkeys(parts))
    if not parts:
        return ""
    return f"[{parts[0]}]" if len(parts) == 1 else f"{_any_of(parts)}*"


def _label(slot: Slot) -> str:
    """A parameter's name may be said before its value: `order id seven`, `order seven`."""
    if slot.kind in (Kind.SPAN, Kind.SWITCH, Kind.MOMENT):
        return ""
    names = [name for name in (*slot.label, " ".join(slot.label)) if _sayable(name)]
    return f"[{'|'.join(dict.fromkeys(names))}]" if names else ""


def _sayable(phrase: str) -> bool:
    return _SAYABLE.fullmatch(phrase) is not None


def _written(rules: dict[str, str]) -> str:
    """The rules, and of the common ones those that they refer to."""
    wanted = dict(rules)
    waiting = [*rules.values(), "<lead> <any>"]
    while waiting:
        for name in re.findall(r"<(\w+)>", waiting.pop()):
            if name not in wanted and name in _RULES:
                wanted[name] = _RULES[name]
                waiting.append(_RULES[name])
    return "".join(f"<{name}> = {rule};\n" for name, rule in wanted.items())
