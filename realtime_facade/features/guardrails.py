"""Lets guardrails read what is said, and stops what they object to."""

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..commands import AnyCommand, RequestResponse, SendText, UpdateSession
from ..config import RealtimeConfig
from ..conversation import ConversationHistory
from ..errors import ConfigurationError
from ..events import (
    Event,
    GuardrailAction,
    GuardrailFailed,
    GuardrailTripped,
    HandedOff,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    TranscriptDelta,
    TurnEnded,
)
from ..guardrails import Direction, Guardrail, GuardrailContext, GuardrailResult
from ..session.hold import Hold
from ..session.observer import Control, Observer

logger = logging.getLogger("realtime_facade")

_READINGS = 64
"""How many of the newest texts are known."""
GATHER_S = 0.02
"""Words come in bursts. An async guardrail in hold mode, which may take its time, waits for the
burst to end: else it would read the first word, and what came with that only afterwards."""


@dataclass(slots=True, eq=False)
class _Check:
    """One guardrail on one text."""

    guardrail: Guardrail
    passed: int = 0
    """Characters to which it did not object."""
    is_over: bool = False
    """It has read the whole text, or will not read on."""
    run: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class _Reading:
    """The text of one item, while it grows."""

    direction: Direction
    item_id: str
    response_id: str
    checks: list[_Check]
    let_pass: bool = False
    """Whether sound is held in this session, but not what this agent says."""
    text: str = ""
    is_whole: bool = False

    @property
    def is_over(self) -> bool:
        return all(check.is_over for check in self.checks)


def _holds(check: _Check) -> bool:
    return check.guardrail.mode == "hold"


@dataclass(slots=True)
class _Turn:
    """The user's newest turn."""

    item_ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Of the turns so far, the newest one last."""
    is_answered: bool = True
    """Whether the answer to it has begun."""
    is_decided: bool = True
    """Whether it was read, with whatever result."""
    refused_by: Guardrail | None = None
    """Who objected before the answer began; it is stopped when it does."""
    was_replaced: bool = False
    """Whether an answer has been replaced since: what came instead is not replaced again."""

    def begin(self, item_id: str | None, *, is_answered: bool = False) -> bool:
        """The user says something; whether that is new."""
        if item_id is not None:
            if item_id in self.item_ids:
                return False
            self.item_ids[item_id] = None
            if len(self.item_ids) > _READINGS:
                self.item_ids.popitem(last=False)
        self.is_answered, self.is_decided, self.was_replaced = is_answered, False, False
        return True

    def decide(self, item_id: str) -> None:
        """An item was read; an older one than the newest says nothing of this turn."""
        if not self.item_ids or item_id == next(reversed(self.item_ids)):
            self.is_decided = True


class Guardrails(Observer):
    """Runs guardrails on the transcripts of both speakers.

    Each reads the text of an item so far when enough of it is new, and again when it is whole; one
    run at a time per item, always on the newest text. A trip cuts what is being said as the user's
    speech would, and asks for another answer.

    Args:
        guardrails: Of both directions, whoever speaks.
        of_agents: Those of each agent in addition, by its name; the first one speaks first.
        config: What the conversation should be like.
        history: The conversation.
        context: The application's.
        agent: What guardrails get as `agent`.

    Raises:
        ConfigurationError: If the user is to be read but is not transcribed.
    """

    def __init__(
        self,
        guardrails: Sequence[Guardrail],
        config: RealtimeConfig,
        history: ConversationHistory,
        *,
        of_agents: Mapping[str, Sequence[Guardrail]] | None = None,
        context: object = None,
        agent: object = None,
    ) -> None:
        self._always = tuple(guardrails)
        self._of_agents = dict(of_agents or {})
        self._speaker = next(iter(self._of_agents), "")
        known = [*self._always, *itertools.chain.from_iterable(self._of_agents.values())]
        if config.transcription is None and any(g.direction == "input" for g in known):
            raise ConfigurationError(
                "input guardrails read the transcript of the user's speech, which is off",
                cause="application",
                advice="leave RealtimeConfig.transcription on",
            )
        holding = {g.direction for g in known if g.mode == "hold"}
        self.hold = Hold(config.max_hold_ms, reads="output" in holding) if holding else None
        """Keeps sound and words back, if a guardrail wants that; for the session."""
        if self.hold is not None:
            self.hold.late = self._late
        self._reads = "output" in holding
        self._history = history
        self._context = context
        self._agent = agent
        self._readings: OrderedDict[tuple[Direction, str], _Reading] = OrderedDict()
        self._turn = _Turn()
        self._response: str | None = None
        self._is_blind = False
        """Whether the next answer may be to speech of which nothing was reported."""
        self._replaced: str | None = None
        """The response in whose place another one was asked for."""
        self._typed = 0

    @property
    def _guardrails(self) -> tuple[Guardrail, ...]:
        """Those that count now."""
        return (*self._always, *self._of_agents.get(self._speaker, ()))

    def _holders(self, direction: Direction) -> list[Guardrail]:
        return [g for g in self._guardrails if g.direction == direction and g.mode == "hold"]

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control
        self._is_blind = not control.profile.emits_speech_events
        self._at_speed(control.config.speed)

    def on_command(self, command: AnyCommand) -> None:
        """What is typed is read too."""
        match command:
            case SendText(role="user"):
                self._typed += 1
                item_id = f"typed-{self._typed}"
                self._begin(item_id)
                self._read("input", item_id, text=command.text, is_whole=True)
            case RequestResponse():
                self._is_blind = False
            case UpdateSession():
                self._at_speed(command.config.speed)

    def on_event(self, event: Event) -> None:
        """Follow who says what."""
        match event:
            case TranscriptDelta(speaker="user"):
                self._begin(event.item_id, is_answered=self._response is not None)
                self._follow("input", event)
            case TranscriptDelta():
                self._follow("output", event)
            case SpeechStarted() | InputCommitted():
                self._begin(event.item_id)
            case ResponseStarted():
                self._answer_begins(event.response_id)
            case ResponseDone() if event.response_id == self._response:
                self._response = None
            case HandedOff():
                self._speaker = event.to_agent
            case TurnEnded() if event.response_id != self._replaced:
                self._is_blind = not self._control.profile.emits_speech_events
            case Interrupted():
                for reading in list(self._readings.values()):
                    if reading.direction == "output":
                        self._give_up(reading)

    def _begin(self, item_id: str | None, *, is_answered: bool = False) -> None:
        if self._turn.begin(item_id, is_answered=is_answered):
            self._is_blind = False

    # -- reading ------------------------------------------------------------------------------

    def _follow(self, direction: Direction, delta: TranscriptDelta) -> None:
        reading = self._readings.get((direction, delta.item_id))
        text = (reading.text if reading is not None else "") + delta.text
        if delta.is_final and delta.full_text is not None:
            # What was told in pieces counts as well, should the whole differ.
            said = text if direction == "output" else ""
            same = said.strip() in ("", delta.full_text.strip())
            text = delta.full_text if same else f"{said}\n{delta.full_text}"
        self._read(direction, delta.item_id, delta.response_id, text=text, is_whole=delta.is_final)

    def _read(
        self,
        direction: Direction,
        item_id: str,
        response_id: str = "",
        *,
        text: str,
        is_whole: bool,
    ) -> None:
        reading = self._readings.get((direction, item_id))
        if reading is None or (direction == "input" and reading.is_over):
            # A user's transcript may go on after its end.
            checks = [_Check(g) for g in self._guardrails if g.direction == direction]
            let_pass = self._reads and direction == "output" and not any(map(_holds, checks))
            if not checks and not let_pass:
                return
            reading = _Reading(direction, item_id, response_id, checks, let_pass)
            self._readings[direction, item_id] = reading
            if len(self._readings) > _READINGS:
                self._give_up(self._readings.popitem(last=False)[1])
        reading.text, reading.is_whole = text, is_whole
        if reading.let_pass and self.hold is not None:
            self.hold.passed(item_id, text, is_whole=is_whole)
        for check in reading.checks:
            self._consider(reading, check, gather=not is_whole and check.guardrail.takes_time)

    def _consider(self, reading: _Reading, check: _Check, *, gather: bool = False) -> None:
        if check.run is not None or check.is_over:
            return
        guardrail = check.guardrail
        if not reading.is_whole:
            if len(reading.text) - check.passed < guardrail.debounce_chars:
                return
        elif not reading.text.strip():
            check.is_over = True
            self._settle(reading)
            return
        check.run = self._control.start(
            self._run(reading, check, gather=gather), f"guardrail {guardrail.name}"
        )

    async def _run(self, reading: _Reading, check: _Check, *, gather: bool) -> None:
        guardrail = check.guardrail
        if gather:
            await asyncio.sleep(GATHER_S)
        text, is_whole = reading.text, reading.is_whole
        context = GuardrailContext(
            direction=reading.direction,
            item_id=reading.item_id,
            is_final=is_whole,
            history=self._history,
            context=self._context,
        )
        result = GuardrailResult(False)
        problem: str | None = None
        try:
            async with asyncio.timeout(guardrail.timeout_s):
                result = await guardrail.check(text, context, self._agent)
        except TimeoutError:
            problem = f"it took longer than {guardrail.timeout_s:g} s"
        except Exception as error:
            logger.exception("the guardrail %s failed", guardrail.name)
            problem = f"it failed: {error!r}"
        check.run = None
        if problem is not None and self._failed(guardrail, reading.item_id, problem):
            check.is_over = True
        elif result.tripwire_triggered:
            check.is_over = True
            self._tripped(guardrail, reading, text, result)
        else:
            check.passed, check.is_over = len(text), is_whole
            self._settle(reading)
            self._consider(reading, check)

    def _settle(self, reading: _Reading) -> None:
        """Let go what has passed by all that hold it."""
        held = list(filter(_holds, reading.checks))
        if self.hold is None:
            return
        is_whole = all(check.is_over for check in held)
        if reading.direction == "output":
            passed = min((check.passed for check in held if not check.is_over), default=None)
            self.hold.passed(reading.item_id, reading.text[:passed], is_whole=is_whole)
        elif is_whole:
            self._turn.decide(reading.item_id)
            if self._turn.is_decided:
                self.hold.shut = False

    def _give_up(self, reading: _Reading) -> None:
        """Read an item no further; its end may still come."""
        for check in reading.checks:
            check.is_over = True
            # The one that has just objected is at its end anyway.
            if check.run is not None:
                check.run.cancel()

    def _at_speed(self, speed: float | None) -> None:
        if self.hold is not None:
            self.hold.speed = speed or 1.0

    # -- answers ------------------------------------------------------------------------------

    def _answer_begins(self, response_id: str) -> None:
        turn, self._response = self._turn, response_id
        turn.is_answered = True
        refused_by, turn.refused_by = turn.refused_by, None
        if refused_by is not None:
            self._stop(refused_by)
        elif self.hold is not None and self._holders("input"):
            self.hold.shut = self._is_blind or not turn.is_decided
        self._is_blind = False

    def _tripped(
        self, guardrail: Guardrail, reading: _Reading, text: str, result: GuardrailResult
    ) -> None:
        action = self._object(guardrail, reading.item_id)
        self._control.emit(
            GuardrailTripped(
                guardrail=guardrail.name,
                direction=guardrail.direction,
                action=action,
                output_info=result.output_info,
                text=text,
                item_id=reading.item_id,
                response_id=reading.response_id,
            )
        )

    def _failed(self, guardrail: Guardrail, item_id: str, problem: str) -> bool:
        """Do what the guardrail's policy says; whether it blocks."""
        blocks = guardrail.on_failure == "block"
        action: GuardrailAction = self._object(guardrail, item_id) if blocks else "none"
        self._control.emit(
            GuardrailFailed(
                guardrail=guardrail.name,
                direction=guardrail.direction,
                allowed=not blocks,
                action=action,
                problem=problem,
                item_id=item_id,
            )
        )
        return blocks

    def _object(self, guardrail: Guardrail, item_id: str) -> GuardrailAction:
        """Stop the answer, now or when it begins."""
        turn = self._turn
        if guardrail.direction == "input":
            turn.decide(item_id)
            if not turn.is_answered:
                turn.refused_by = guardrail
                return "cut" if guardrail.replacement is None else "replaced"
        return self._stop(guardrail)

    def _stop(self, guardrail: Guardrail) -> GuardrailAction:
        """Fall silent, and ask for another answer unless this is one already."""
        if not self._control.interrupt("guardrail"):
            return "none"
        if guardrail.replacement is None or self._turn.was_replaced:
            return "cut"
        self._turn.was_replaced, self._replaced = True, self._response
        self._control.execute(RequestResponse(instructions=guardrail.replacement, at_once=True))
        return "replaced"

    def _late(self, item_id: str) -> None:
        """The listener has waited for too long."""
        assert self.hold is not None  # noqa: S101 - it calls
        direction: Direction = "input" if self.hold.shut else "output"
        problem = f"the listener has waited for {self._control.config.max_hold_ms} ms"
        for guardrail in self._holding(direction, item_id):
            if self._failed(guardrail, item_id, problem):
                return
        if direction == "output":
            self.hold.let_go(item_id)
        else:
            self._turn.is_decided = True
            self.hold.shut = False

    def _holding(self, direction: Direction, item_id: str) -> list[Guardrail]:
        """Guardrails whose word is awaited: those that read, or, without anything to read, all."""
        holding = [
            check.guardrail
            for (kind, item), reading in self._readings.items()
            if kind == direction and (kind == "input" or item == item_id)
            for check in reading.checks
            if _holds(check) and not check.is_over
        ]
        return holding or self._holders(direction)
