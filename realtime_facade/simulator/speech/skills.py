"""What a registered tool is called in speech, and how a sentence becomes a call of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...tools.definition import ToolDefinition
from .slots import Found, Kind, Slot, find_values, slots_of
from .words import Word, find_words, keys, listing, name_words, position_of, stem

ASKING = frozenset(
    {"get", "fetch", "find", "check", "lookup", "look", "read", "show", "tell", "query"}
    | {"retrieve", "return", "list", "describe", "give"}
)
"""Verbs of tools that answer a question."""
_SYNONYMS = (
    ("set", "change", "adjust", "update", "turn", "switch", "put", "control", "toggle", "make"),
    ("set", "create", "add", "make", "start", "schedule"),
    ("start", "begin", "run", "launch"),
    ("book", "reserve", "make", "schedule"),
    ("search", "find", "look up"),
    ("stop", "end", "cancel", "quit"),
    ("calculate", "compute", "evaluate", "work out"),
    ("remember", "note", "save", "store"),
    ("send", "write"),
    ("play", "start"),
)
_HOLLOW = frozenset(
    {"a", "an", "the", "my", "your", "of", "in", "for", "to", "at", "on", "by", "with", "from"}
    | {"and", "or", "is", "it", "that", "this", "some", "any", "given", "current", "please", "me"}
    | {"do", "call", "handle", "perform", "provide", "use", "when", "what", "you", "user", "i"}
)
_ENDS_NOUN = frozenset(
    {"of", "in", "for", "to", "at", "on", "by", "with", "from", "given", "using", "when", "if"}
    | {"and", "or", "that", "which", "as", "based"}
)
_ARTICLES = frozenset({"a", "an", "the", "some", "my", "your", "new"})
_CARRIERS = frozenset(
    {"a", "an", "the", "that", "to", "for", "about", "me", "please", "called", "named", "saying"}
    | {"of", "on", "in", "at", "with", "is", "us"}
)
_CUES = {"origin": "from", "source": "from", "from": "from", "destination": "to", "to": "to"}
_ORDER = (Kind.CHOICE, Kind.SUM, Kind.SPAN, Kind.MOMENT, Kind.PLACE, Kind.NUMBER, Kind.SWITCH)
_MOST_CALLS = 4
_GONE = Word("", "")


@dataclass(slots=True)
class Filling:
    """Arguments that were found in a sentence."""

    values: dict[str, list[Any]] = field(default_factory=dict)
    """Several values where the sentence joined them: `in paris and london`."""
    used: set[int] = field(default_factory=set)
    """Which words they were read from."""

    def take(self, slot: Slot, found: Sequence[Found]) -> None:
        """Give `slot` these values and mark their words as used."""
        self.values[slot.name] = [value.value for value in found]
        for value in found:
            self.used.update(range(value.start, value.stop))


class Skill:
    """A tool, as something that can be asked for."""

    def __init__(self, tool: ToolDefinition) -> None:
        self.tool = tool
        self.slots = slots_of(tool)
        sentence = tool.description.strip().split("\n")[0].split(". ")[0].rstrip(". ")
        told = keys(sentence)
        name = name_words(tool.name) or [tool.name]
        known = {verb for group in _SYNONYMS for verb in group} | ASKING
        self.verb = name[0] if name[0] in known or name[:1] == told[:1] else ""
        if not self.verb and told:
            self.verb = next((verb for verb in known if stem(verb) == stem(told[0])), "")
        self.nouns = self._nouns(name, told)
        self.purpose = _purpose(sentence, told) or " ".join(name)
        """What it is for, to go on after `I can`."""
        nouns = [word for word in name if word not in _HOLLOW | ASKING and word != self.verb]
        self._names = {stem(word) for word in nouns or name}
        labels = {word for slot in self.slots for word in slot.label}
        self._about = {stem(word) for word in {*told, *labels} - _HOLLOW - ASKING} - self._names

    @property
    def verbs(self) -> tuple[str, ...]:
        """The tool's verb and what people say instead."""
        others = [verb for group in _SYNONYMS if self.verb in group for verb in group]
        return tuple(dict.fromkeys([self.verb, *others])) if self.verb else ()

    @property
    def asks(self) -> bool:
        """Whether it answers questions, rather than doing something."""
        return self.verb in ASKING

    def score(self, words: Sequence[Word], now: datetime) -> float:
        """How well a sentence fits; 3 and more is a match."""
        said = {stem(word.key) for word in words}
        verbs = {stem(word) for verb in self.verbs for word in verb.split()}
        named = self._names & said
        if not named and verbs & said and not self._names - verbs:
            named = verbs & said
        about = min(3, len(self._about & said))
        filling = self.fill(words, now)
        bonus = {Kind.CHOICE: 2.0, Kind.SUM: 4.0, Kind.PLACE: 1.0}
        filled = sum(
            bonus.get(slot.kind, 0.5) for slot in self.slots if slot.name in filling.values
        )
        everything = len(filling.used) == len(words) and any(
            slot.kind is Kind.CHOICE for slot in self.slots if slot.name in filling.values
        )
        if not (named or about >= 2 or filled >= 3 or everything):
            return 0.0
        return 3.0 * len(named) + bool(verbs & said) + about + filled + 3.0 * everything

    def fill(self, words: Sequence[Word], now: datetime) -> Filling:
        """The arguments that are in the sentence."""
        filling = Filling()
        for kind in _ORDER:
            alike = [slot for slot in self.slots if slot.kind is kind]
            for slot in alike:
                left = [_GONE if i in filling.used else word for i, word in enumerate(words)]
                found = find_values(slot, left, now)
                if not found:
                    continue
                several = slot.many or (len(alike) == 1 and kind in (Kind.CHOICE, Kind.PLACE))
                if not several:
                    found = [_cued(slot, found, words)]
                filling.take(slot, found[:_MOST_CALLS] if not slot.many else found)
        for slot in self.slots:
            if slot.kind is Kind.TEXT and (found_text := self._text(slot, words, filling)):
                filling.take(slot, [found_text])
        return filling

    def missing(self, values: Mapping[str, list[Any]]) -> Slot | None:
        """The first required parameter without a value."""
        return next((s for s in self.slots if s.required and s.name not in values), None)

    def arguments(self, values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
        """The arguments of each call to make: one, or one per joined value."""
        calls: list[dict[str, Any]] = [{}]
        for slot in self.slots:
            if slot.name not in values:
                continue
            given = values[slot.name]
            choices = [given] if slot.many else given
            calls = [{**call, slot.name: value} for call in calls for value in choices]
        return calls[:_MOST_CALLS]

    def _nouns(self, name: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
        rest = list(name[1:] if self.verb == name[0] else name)
        labels = {word for slot in self.slots for word in slot.label}
        short = _until(rest, _ENDS_NOUN)
        described = list(told[1:] if self.verb and told[:1] and _same(told[0], self.verb) else ())
        if described[:1] == ["up"]:
            described = described[1:]
        while described and described[0] in _ARTICLES:
            described = described[1:]
        described = _until(described, _ENDS_NOUN)
        heads = [short, [word for word in short if word not in labels], described]
        return tuple(dict.fromkeys(" ".join(head) for head in heads if 0 < len(head) <= 4))

    def _text(self, slot: Slot, words: Sequence[Word], filling: Filling) -> Found | None:
        """What is left of the sentence after the slot's own label, or after the request."""
        said = [word.key for word in words]
        labels = {other.label for other in self.slots if other.name != slot.name}
        at = position_of(slot.label, said)
        # A label that also names the tool is part of the request: "send a message to ann".
        if at is not None and not {stem(word) for word in slot.label} <= self._names:
            start = at + len(slot.label)
        elif slot.required and not any(
            other.required and other.kind is Kind.TEXT and other.name in filling.values
            for other in self.slots
        ):
            start = self._end_of_request(said)
        else:
            return None
        while start < len(said) and (said[start] in _CARRIERS or start in filling.used):
            start += 1
        stop = start
        while stop < len(said) and stop not in filling.used:
            if any(said[stop : stop + len(label)] == list(label) for label in labels):
                break
            stop += 1
        while stop > start and said[stop - 1] in (*_CARRIERS, "and"):
            stop -= 1
        text = " ".join(word.text for word in words[start:stop])
        return Found(text, start, stop) if text else None

    def _end_of_request(self, said: Sequence[str]) -> int:
        """The index after the words that name the tool, or the end if it is not named."""
        mine = self._names | {stem(word) for verb in self.verbs for word in verb.split()}
        start = next((i for i, word in enumerate(said) if stem(word) in mine), len(said))
        while start < len(said) and (stem(said[start]) in mine or said[start] in _CARRIERS):
            start += 1
        return start


def answer_to(slot: Slot, text: str, now: datetime) -> list[Any]:
    """What was answered to the question for `slot`; empty if it cannot be an answer."""
    words = find_words(text)
    if slot.kind is Kind.TEXT:
        return [text.strip().rstrip(".")] if words else []
    found = find_values(slot, words, now)
    if slot.kind is Kind.PLACE and not found and words:
        return [" ".join(word.text.capitalize() for word in words)]
    return [value.value for value in (found if slot.many else found[:1])]


def question_for(slot: Slot) -> str:
    """How to ask for a value."""
    label = " ".join(slot.label)
    match slot.kind:
        case Kind.CHOICE:
            options = [" ".join(words) for words, _ in slot.choices[:8]]
            return f"Which {label}: {listing(options, 'or')}?"
        case Kind.SWITCH:
            return "On or off?" if label in ("on", "state", "enabled") else f"{label}, yes or no?"
        case Kind.SPAN:
            return "How long?"
        case Kind.NUMBER:
            return f"What is the {label}? Please say a number."
        case Kind.TEXT:
            return f"What is the {label}?"
        case _:
            return f"Which {label}?"


def _cued(slot: Slot, found: Sequence[Found], words: Sequence[Word]) -> Found:
    """The value that the words before it point to: `from paris to rome`, `quantity three`."""
    cues = {*slot.label, *(_CUES[word] for word in slot.label if word in _CUES)}
    for value in found:
        if cues & {word.key for word in words[max(0, value.start - 2) : value.start]}:
            return value
    return found[0]


def _purpose(sentence: str, told: Sequence[str]) -> str:
    if not told:
        return ""
    verb = stem(told[0])
    base = next((known for known in ASKING if stem(known) == verb), None)
    first, _, rest = sentence.partition(" ")
    return f"{base or first.lower()} {rest}".strip()


def _same(one: str, other: str) -> bool:
    return stem(one) == stem(other)


def _until(words: Sequence[str], ends: frozenset[str]) -> list[str]:
    stop = next((i for i, word in enumerate(words) if word in ends), len(words))
    return list(words[:stop])
