"""Plays the turns of a scenario, also on from where another session left the conversation."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..tools.definition import ToolDefinition
from .babble import ScriptedRecognizer
from .parts import Call, Entry, Message, Say, Step, ToolOutput
from .turns import CallStep, SayStep, Turn

Steps = tuple[SayStep | CallStep, ...]


class _Place(NamedTuple):
    """Somewhere in a turn: the steps behind it, and whether it lies within a sentence."""

    left: Steps
    unfinished: bool


class Script:
    """How far a conversation has come in a scenario, by what was said and done in it.

    A turn of the scenario was used if it was heard and followed by something else, or if what the
    assistant said and called fits it. What fits nothing, such as a seed, uses nothing up.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.unused = 0
        """Index of the first turn that may still be taken in order."""
        self.left: Steps = ()
        """Steps of the newest answer that are still to come."""
        self.unfinished = False
        """Whether the assistant stopped in the middle of a sentence."""
        self.unheard = 0
        """Index of the first turn whose words may still be heard."""
        self._turns = turns
        self._heard = ""
        self._output = ""
        self._pending: int | None = None

    def told(self, entry: Entry) -> None:
        """Something was said or done."""
        match entry:
            case Message(role="user", text=text):
                if self._pending is not None:
                    self._use(self._pending)
                self._heard, self.left, self.unfinished = text, (), False
                self._pending = self._find_heard(text)
                if self._pending is not None:
                    self.unheard = self._pending + 1
            case Message(role="assistant", text=text):
                self._follow(lambda steps: self._after_words(steps, text.strip()))
            case ToolOutput(name=name, output=output):
                self._output = output
                self._follow(lambda steps: _after_call(steps, name))

    def _use(self, index: int) -> None:
        if self._turns[index].when is None:
            self.unused = max(self.unused, index + 1)
            self.unheard = max(self.unheard, index + 1)
        self._pending = None

    def _find_heard(self, text: str) -> int | None:
        wanted = _bare(text)
        for index in range(self.unheard, len(self._turns)):
            if wanted and wanted == _bare(self._turns[index].heard):
                return index
        return None

    def _follow(self, after: Callable[[Steps], _Place | None]) -> None:
        """Go on behind what was said or called, in the running answer or in another turn."""
        found = after(self.left)
        if found is None:
            for index, turn in self._candidates():
                found = after(turn.steps)
                if found is not None:
                    self._use(index)
                    break
        if found is not None:
            self.left, self.unfinished = found

    def _candidates(self) -> list[tuple[int, Turn]]:
        turns = list(enumerate(self._turns))
        fitting = [(i, t) for i, t in turns if t.when is not None and fits(t, self._heard)]
        return fitting + [(i, t) for i, t in turns[self.unused :] if t.when is None]

    def _after_words(self, steps: Steps, text: str) -> _Place | None:
        for start, step in enumerate(steps):
            if isinstance(step, SayStep) and text:
                found = self._rest(steps[start:], text)
                if found is not None:
                    return found
        return None

    def _rest(self, steps: Steps, text: str) -> _Place | None:
        """What follows `text`, if these steps begin with it; sentences may come as one text."""
        for index, step in enumerate(steps):
            if not isinstance(step, SayStep):
                return None
            whole = fill(step.say, self._heard, self._output).strip()
            if whole == text:
                return _Place(steps[index + 1 :], unfinished=False)
            if whole.startswith(text):
                rest = SayStep(say=whole[len(text) :].strip())
                return _Place((rest, *steps[index + 1 :]), unfinished=True)
            if not text.startswith(whole):
                return None
            text = text[len(whole) :].strip()
        return None


class ScenarioMind:
    """Answers as a scenario says. A turn's steps after its calls wait for their outputs.

    Asked again for what it has answered already but nobody has heard, it gives the same answer;
    after an answer that stops within a sentence, it says the rest.
    """

    def __init__(self, turns: Sequence[Turn], otherwise: str, asked: Sequence[Turn] = ()) -> None:
        self._turns = turns
        self._asked = asked
        self._otherwise = otherwise
        self._in_order: deque[Turn] | None = None
        self._next: deque[Steps] = deque()
        self._answered_words = 0
        self._steps: Steps = ()
        """The answer to the user's words, when there were so many utterances."""

    async def answer(
        self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
    ) -> Sequence[Step]:
        """The next steps of the turn that fits the user's last words."""
        said = [e for e in conversation if not (isinstance(e, Message) and e.role == "system")]
        last = said[-1] if said else None
        words = [e.text for e in said if isinstance(e, Message) and e.role == "user"]
        heard = words[-1] if words else ""
        went_on = self._went_on(said)
        note = conversation[-1] if conversation else None
        note_text = note.text if isinstance(note, Message) and note.role != "assistant" else ""
        asked = self._find_asked(instructions, note_text)
        if asked is not None:
            self._next = deque(_answers(asked.steps))
        elif isinstance(last, ToolOutput) and (self._next or went_on.left):
            self._next = self._next or deque(_answers(went_on.left))
            self._answered_words = len(words)
        elif isinstance(last, ToolOutput) and len(words) == self._answered_words:
            # The turn has no more steps, and what was asked for is not asked for again.
            self._next = deque([(SayStep(say=self._otherwise),)])
        elif went_on.unfinished:
            self._next = deque(_answers(went_on.left))
        elif isinstance(last, Message) and last.role == "user":
            if len(words) != self._answered_words:
                self._answered_words, self._steps = len(words), self._choose(heard)
            self._next = deque(_answers(self._steps))
        else:
            self._next = deque(_answers(self._choose(heard)))
        steps = self._next.popleft() if self._next else ()
        outputs = [entry.output for entry in said if isinstance(entry, ToolOutput)]
        return [
            Say(fill(step.say, heard, outputs[-1] if outputs else ""))
            if isinstance(step, SayStep)
            else Call(step.call, step.arguments)
            for step in steps
        ]

    def _went_on(self, said: Sequence[Entry]) -> Script:
        """Where the conversation stands in the scenario, where that is not known anyway."""
        script = Script(self._turns)
        first = self._in_order is None
        if first or (isinstance(said[-1], Message) and said[-1].role == "assistant"):
            for entry in said:
                script.told(entry)
        if first:
            unused = self._turns[script.unused :]
            self._in_order = deque(turn for turn in unused if turn.when is None)
        return script

    def _find_asked(self, *instructions: str) -> Turn | None:
        # Where a provider has no instructions for one answer they come as a message.
        for turn in self._asked:
            pattern = re.compile(turn.asked or "", re.IGNORECASE)
            if any(map(pattern.search, instructions)):
                return turn
        return None

    def _choose(self, heard: str) -> Steps:
        for turn in self._turns:
            if fits(turn, heard):
                return turn.steps
        if self._in_order:
            return self._in_order.popleft().steps
        return (SayStep(say=self._otherwise),)


class ScenarioRecognizer(ScriptedRecognizer):
    """Hears what the turns say is heard, from where the conversation is."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        super().__init__(turn.heard for turn in turns if turn.heard)
        self._turns = turns
        self._script = Script(turns)

    def told(self, entry: Entry) -> None:
        """What was said in words need not be heard any more."""
        self._script.told(entry)
        rest = self._turns[self._script.unheard :]
        self.skip_to(sum(bool(turn.heard) for turn in rest))


def fits(turn: Turn, heard: str) -> bool:
    """Whether the turn has a pattern for the user's words, and they are of that kind."""
    return turn.when is not None and re.search(turn.when, heard, re.IGNORECASE) is not None


def fill(text: str, heard: str, output: str) -> str:
    """A sentence of the scenario with the user's words and the last output in it."""
    # Not str.format: a tool's output may hold braces, and so may the text.
    values = {"{output}": output, "{heard}": heard}
    return re.sub(r"\{(?:output|heard)\}", lambda match: values[match[0]], text)


def _answers(steps: Steps) -> list[Steps]:
    """Cut a turn into responses: a new one begins where a step has to wait for tool outputs."""
    answers: list[list[SayStep | CallStep]] = []
    called = True
    for step in steps:
        waits = isinstance(step, SayStep) or step.wait
        if not answers or (called and waits):
            answers.append([])
        answers[-1].append(step)
        called = isinstance(step, CallStep)
    return [tuple(answer) for answer in answers]


def _after_call(steps: Steps, name: str) -> _Place | None:
    for index, step in enumerate(steps):
        if isinstance(step, CallStep) and step.call == name:
            return _Place(steps[index + 1 :], unfinished=False)
    return None


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
