"""The local mind: small talk, the time, and whatever the registered tools can do."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...tools.definition import ToolDefinition
from ..parts import Call, Entry, Message, Say, Step, ToolOutput
from .numbers import spoken_number
from .report import report
from .skills import Skill, answer_to, question_for
from .slots import Kind, Slot
from .words import Word, find_words, keys, listing

_MATCH = 3.0
_RESEMBLES = 0.5
"""Similarity from which a phrase is offered as what may have been meant."""

LEADS = frozenset(
    {"please", "stop", "wait", "no", "okay", "ok", "hey", "hello", "hi", "sorry", "actually"}
    | {"and", "so", "well", "now", "yes", "then", "assistant"}
)
"""Words before the request that are no part of it: `stop please, what time is it`."""
REPEATS = ("repeat after me", "repeat", "please repeat", "say")
YES = frozenset({"yes", "yeah", "yep", "sure", "correct", "okay", "ok", "please"})
NO = frozenset({"no", "nope", "never mind", "cancel", "stop", "forget it"})
SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("hello", "hi", "hey", "hello there", "good morning", "good afternoon", "good evening"),
        "Hello! What can I do for you?",
    ),
    (("how are you", "how are you doing"), "I am well, thank you. What can I do for you?"),
    (("thank you", "thanks", "thank you very much", "many thanks"), "You are welcome."),
    (("goodbye", "bye", "good night", "see you later", "bye bye"), "Goodbye!"),
    (("stop", "be quiet", "never mind", "wait", "stop please"), "All right."),
    (("yes", "okay", "sure", "no"), "All right. What can I do for you?"),
    (("who are you", "what is your name"), "I am a small assistant that lives on this computer."),
)
HELP = ("help", "help me", "what can you do", "what can i say", "what can you do for me")
TIME = (
    "what time is it",
    "what is the time",
    "what's the time",
    "tell me the time",
    "do you know what time it is",
)
DAY = (
    "what day is it",
    "what day is it today",
    "what is the date",
    "what's the date",
    "what is today's date",
    "what is the date today",
)

_SAID = {phrase: answer for phrases, answer in SMALL_TALK for phrase in phrases}
_QUOTED = re.compile(r"[\"\u201c](.+?)[\"\u201d]", re.DOTALL)
_TELL = re.compile(
    r"^(?:please )?(?:say|repeat|tell (?:the user|them|me))(?: exactly| that)?[:,]? (.+)$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class _Question:
    """What the assistant has asked and waits to hear."""

    skill: Skill
    slot: Slot
    values: dict[str, list[Any]] = field(default_factory=dict)


class LocalMind:
    """Answers by rules; the same words in the same situation get the same answer.

    Remembers one thing between calls: what it has just asked. Make one for each session.

    Args:
        clock: The local time.
    """

    def __init__(self, clock: Callable[[], datetime] = datetime.now) -> None:
        self._clock = clock
        self._question: _Question | None = None
        self._offer: str | None = None
        """What it has offered to do, as words that would ask for it."""

    async def answer(
        self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
    ) -> Sequence[Step]:
        """The steps of the next response; see `Mind`."""
        outputs = _latest_outputs(conversation)
        if outputs:
            return [Say(" ".join(report(output.output) for output in outputs))]
        skills = [Skill(tool) for tool in tools]
        last = conversation[-1] if conversation else None
        if isinstance(last, Message) and last.role == "user":
            return self._reply(last.text, skills)
        if wish := _wished(last, instructions):
            return [Say(wish)]
        said = [e for e in conversation if isinstance(e, Message) and e.role != "system"]
        if not said:
            return [Say("Hello! What can I do for you?")]
        if said[-1].role == "user":
            return self._reply(said[-1].text, skills)
        return [Say(self._rest(said, skills) or "I am listening.")]

    def _rest(self, said: Sequence[Message], skills: Sequence[Skill]) -> str:
        """What is missing of an answer that was cut off; "" if nothing is."""
        if len(said) < 2 or said[-2].role != "user":
            return ""
        whole = " ".join(s.text for s in self._reply(said[-2].text, skills) if isinstance(s, Say))
        begun = said[-1].text.strip()
        return whole[len(begun) :].strip() if whole.startswith(begun) else ""

    def _reply(self, text: str, skills: Sequence[Skill]) -> Sequence[Step]:
        question, self._question = self._question, None
        offer, self._offer = self._offer, None
        words = find_words(text)
        if not words:
            return [Say("I could not hear you. Could you say that again?")]
        said = " ".join(word.key for word in words)
        if offer and words[0].key in YES and len(words) <= 2:
            return self._reply(offer, skills)
        if question and (steps := self._take_answer(question, text, said, skills)):
            return steps
        repeated = _repeated(words)
        if repeated:
            return [Say(repeated)]
        return (
            self._do(words, skills)
            or self._do(_without_leads(words), skills)
            or self._say(said, " ".join(word.key for word in _without_leads(words)), skills)
        )

    def _take_answer(
        self, question: _Question, text: str, said: str, skills: Sequence[Skill]
    ) -> Sequence[Step]:
        """What follows from the user's answer; nothing if they speak of something else."""
        if said in NO:
            return [Say("All right.")]
        now = self._clock()
        # A new request is no answer, except where anything could be one.
        best = self._best(find_words(text), skills)
        elsewhere = best is not None and best.tool.name != question.skill.tool.name
        if elsewhere and question.slot.kind is not Kind.TEXT:
            return []
        values = answer_to(question.slot, text, now)
        if not values:
            if best or said in (*_SAID, *HELP, *TIME, *DAY):
                return []
            self._question = question
            return [Say(f"I did not get that. {question_for(question.slot)}")]
        question.values[question.slot.name] = values
        return self._call(question.skill, question.values)

    def _best(self, words: Sequence[Word], skills: Sequence[Skill]) -> Skill | None:
        now = self._clock()
        scores = [skill.score(words, now) for skill in skills]
        best = max(scores, default=0.0)
        return skills[scores.index(best)] if best >= _MATCH else None

    def _do(self, words: Sequence[Word], skills: Sequence[Skill]) -> Sequence[Step]:
        skill = self._best(words, skills)
        return self._call(skill, skill.fill(words, self._clock()).values) if skill else []

    def _call(self, skill: Skill, values: dict[str, list[Any]]) -> Sequence[Step]:
        missing = skill.missing(values)
        if missing is None:
            return [Call(skill.tool.name, each) for each in skill.arguments(values)]
        if missing.kind is Kind.UNSPEAKABLE:
            label = " ".join(missing.label)
            return [Say(f"I cannot {skill.purpose}: its {label} is nothing that can be spoken.")]
        self._question = _Question(skill, missing, values)
        return [Say(question_for(missing))]

    def _say(self, said: str, request: str, skills: Sequence[Skill]) -> Sequence[Step]:
        for phrase in (said, request):
            if phrase in _SAID:
                return [Say(_SAID[phrase])]
            if phrase in HELP:
                return [Say(_abilities(skills))]
            if phrase in TIME:
                return [Say(f"It is {spoken_time(self._clock())}.")]
            if phrase in DAY:
                return [Say(f"Today is {self._clock():%A, %B} {self._clock().day}.")]
        nearest = _nearest(request, skills)
        if nearest is None:
            return [Say(f"I am sorry, I cannot help with that. {_abilities(skills)}")]
        self._offer = nearest
        return [Say(f"I am sorry, I did not understand. Did you mean: {nearest}?")]


def spoken_time(now: datetime) -> str:
    """A time of day in words: `three oh five in the afternoon`."""
    hour = spoken_number(now.hour % 12 or 12)
    half = "in the morning" if now.hour < 12 else "in the afternoon" if now.hour < 18 else "p.m."
    if now.minute == 0:
        return f"{hour} o'clock {half}".replace("o'clock p.m.", "p.m.")
    minute = f"oh {spoken_number(now.minute)}" if now.minute < 10 else spoken_number(now.minute)
    return f"{hour} {minute} {half}"


def example(skill: Skill) -> str:
    """A phrase that asks for a tool without its arguments."""
    noun = f"the {skill.nouns[0]}" if skill.nouns else ""
    if skill.asks and noun:
        return f"what is {noun}"
    return f"{skill.verb} {noun}".strip() or skill.purpose


def _latest_outputs(conversation: Sequence[Entry]) -> list[ToolOutput]:
    """The tool outputs at the end, oldest first."""
    outputs: list[ToolOutput] = []
    for entry in reversed(conversation):
        if not isinstance(entry, ToolOutput):
            break
        outputs.insert(0, entry)
    return outputs


def _wished(last: Entry | None, instructions: str) -> str:
    """What a system message or the instructions want said; "" if nothing."""
    wishes = [last.text] if isinstance(last, Message) and last.role == "system" else []
    for wish in [*wishes, instructions]:
        if told := _TELL.match(wish.strip()):
            quoted = _QUOTED.search(told[1])
            return (quoted[1] if quoted else told[1]).strip()
    return ""


def _without_leads(words: Sequence[Word]) -> Sequence[Word]:
    start = 0
    while start < len(words) - 1 and words[start].key in LEADS:
        start += 1
    stop = len(words) - (len(words) - start > 1 and words[-1].key == "please")
    return words[start:stop]


def _repeated(words: Sequence[Word]) -> str:
    """What is to be repeated, as it was written; "" if nothing is."""
    for candidate in (words, _without_leads(words)):
        said = [word.key for word in candidate]
        for phrase in REPEATS:
            start = len(phrase.split())
            if said[:start] == phrase.split() and len(said) > start:
                text = " ".join(word.text for word in candidate[start:])
                return f"{text[0].upper()}{text[1:]}."
    return ""


def _abilities(skills: Sequence[Skill]) -> str:
    purposes = [skill.purpose for skill in skills if skill.purpose][:6]
    return f"I can {listing(['tell the time', 'repeat what you say', *purposes])}."


def _nearest(request: str, skills: Sequence[Skill]) -> str | None:
    """The known phrase that resembles the request most, if any does."""
    phrases = [*TIME, *HELP, *_SAID, *(example(skill) for skill in skills)]
    spaced = {" ".join(keys(phrase)): phrase for phrase in phrases}
    found = difflib.get_close_matches(request, spaced, n=1, cutoff=_RESEMBLES)
    return spaced[found[0]] if found else None
