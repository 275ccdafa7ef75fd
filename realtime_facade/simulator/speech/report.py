"""Says plainly what a tool answered."""

import json
from typing import Any

from .words import listing, name_words

_MOST_FACTS = 6
_LONGEST_TEXT = 600


def report(output: str) -> str:
    """A tool's output as something to be spoken: text as it is, JSON as short sentences."""
    text = output.strip()
    try:
        value = json.loads(text)
    except ValueError:  # most tools answer in plain text
        return _clipped(text) or "That is done."
    if isinstance(value, dict) and set(value) == {"error"}:
        return f"That did not work: {_value(value['error'])}."
    if value is None or value is True or value in ("", {}, "ok", "OK"):
        return "That is done."
    if value == []:
        return "There is nothing."
    if isinstance(value, dict):
        return " ".join(_facts(value))
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return " ".join(_sentence(_value(entry)) for entry in value[:_MOST_FACTS])
    return _clipped(value) if isinstance(value, str) else _sentence(_value(value))


def _facts(value: dict[str, Any], owner: str = "") -> list[str]:
    facts: list[str] = []
    for key, part in value.items():
        name = " ".join([owner, *name_words(str(key))]).strip()
        if isinstance(part, dict) and part:
            facts += _facts(part, name)
        else:
            facts.append(f"The {name} is {_value(part)}.")
    return facts[:_MOST_FACTS]


def _value(value: Any) -> str:
    match value:
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case dict():
            parts = [f"{' '.join(name_words(str(k)))} {_value(v)}" for k, v in value.items()]
            return listing(parts[:_MOST_FACTS])
        case list():
            return listing([_value(part) for part in value[:_MOST_FACTS]]) if value else "nothing"
        case _:
            return _clipped(str(value)).rstrip(".")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _clipped(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return text[:_LONGEST_TEXT].rsplit(" ", 1)[0] + " and so on."
