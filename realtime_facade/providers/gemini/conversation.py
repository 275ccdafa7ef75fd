"""Follows one conversation with Gemini: what is open, what was cut, and when a turn is over."""

from collections.abc import Iterable
from typing import Literal

from ...events import (
    ErrorOccurred,
    Event,
    OutputCancelled,
    ResponseDone,
    ResponseStatus,
    ToolCallRequest,
    ToolCallsCancelled,
)
from ..limits import MOST_CALLS
from . import wire
from .turns import Answers, Utterances
from .usage import usage_of

_FAILURES = ("MALFORMED_FUNCTION_CALL", "RESPONSE_REJECTED", "MAX_REGENERATION_REACHED")


class Conversation:
    """Takes the pieces of messages in their order and appends the events they amount to.

    A response begins with the first output after a turnComplete and ends with the next one. The
    turn ends with it, unless calls are open or the service says that it goes on.
    """

    def __init__(self, prefix: str = "") -> None:
        """`prefix` begins all ids."""
        self.user = Utterances(prefix)
        self.calls: set[str] = set()
        """Ids of the calls that have no result yet."""
        self.cancelled_calls: set[str] = set()
        """Those whose running tools may still hand in a result, which nobody wants."""
        self.usage: wire.UsageMetadata | None = None
        """Counts of the open response, which may come before its end."""
        self._answers = Answers(prefix)
        self._turn = ""
        """The newest response of a turn that is not over."""
        self._cut: Literal["", "answer", "playback"] = ""
        """What was interrupted: the turnComplete that comes next is that of a cut answer, or it
        belongs to no turn, because what was cut was only being played."""
        self._unanswered_result = False
        """A result was sent and the response to it has not begun."""
        self._audible = ""
        """The newest response, until it is cut: the listener may still be hearing it."""

    @property
    def answering(self) -> bool:
        """Whether a response is open."""
        return bool(self._answers.response_id)

    @property
    def waiting(self) -> bool:
        """Whether the turn goes on although no response and no call is open."""
        return bool(self._turn) and not self.answering and not self.calls

    def speak(self, pcm: bytes, rate: int, events: list[Event]) -> None:
        """The model produced audio."""
        self._begin(events)
        chunk = self._answers.speak(pcm, rate)
        if chunk is not None:
            events.append(chunk)

    def write(self, text: str, events: list[Event]) -> None:
        """The model produced text, or the transcript of its speech."""
        self._begin(events)
        events.append(self._answers.write(text))

    def think(self, text: str, events: list[Event]) -> None:
        """The model shows a thought."""
        self._begin(events)
        events.append(self._answers.think(text))

    def call(self, call: wire.FunctionCall, events: list[Event]) -> None:
        """The model wants a function to be run."""
        self._begin(events)
        self.calls.add(call.id)
        events.append(
            ToolCallRequest(
                call_id=call.id,
                function_name=call.name,
                arguments=call.args or {},
                response_id=self._answers.response_id,
            )
        )

    def result_is_due_an_answer(self) -> None:
        """A result was sent that another response will answer."""
        self._unanswered_result = True

    def cancel_calls(self, ids: Iterable[str], events: list[Event]) -> None:
        """The model wants these results no longer."""
        unwanted = tuple(ids)
        self.cancelled_calls |= self.calls.intersection(unwanted)
        while len(self.cancelled_calls) > MOST_CALLS:
            self.cancelled_calls.pop()
        self.calls.difference_update(unwanted)
        events.append(ToolCallsCancelled(call_ids=unwanted))

    def generated(self, events: list[Event]) -> None:
        """The model has produced everything; further output would be another item."""
        events += self._answers.close_item()

    def interrupt(self, events: list[Event]) -> None:
        """Input cut the model short."""
        self._cut = "answer" if self._turn or not self._audible else "playback"
        self._unanswered_result = False
        self.user.settle()
        events += self._answers.close_item()
        if self._audible:
            # Also after the end of its turn: generation is faster than speech, and families
            # without speech events give no other sign that the listener talks over it.
            events.append(OutputCancelled(response_id=self._audible, reason="speech"))
            self._audible = ""

    def complete(self, reason: str | None, status: str | None, events: list[Event]) -> bool:
        """The service called the turn complete.

        Args:
            reason: Its turnCompleteReason.
            status: Its interactionStatus.
            events: Where to append.

        Returns:
            Whether the turn is over; `end` closes it.
        """
        if not self._cut:
            # After an interruption the open utterance is the one that interrupted: it goes on.
            events += self.user.close()
        self.user.settle()
        if reason == "TURN_COMPLETE_REASON_UNSPECIFIED":
            reason = None
        answered = self.answering
        outcome = _outcome(reason, interrupted=bool(self._cut))
        if answered:
            events += self._answers.close_item()
            events.append(
                ResponseDone(
                    response_id=self._answers.response_id,
                    status=outcome,
                    reason="interrupted" if outcome == "cancelled" and not reason else reason,
                    usage=None if self.usage is None else usage_of(self.usage),
                )
            )
            self._answers.end()
        if outcome == "failed" or (
            outcome == "incomplete" and not answered and reason != "NEED_MORE_INPUT"
        ):
            events.append(_failure(outcome, reason))
        told_before = self._cut == "playback"
        self.usage = None
        self._cut = ""
        # Any status but IDLE means that the model goes on by itself, as the SDK reads it.
        more = self.calls or self._unanswered_result or status not in (None, "IDLE")
        return not told_before and not more

    def end(self) -> str:
        """The turn is over. Returns the id of its last response, "" if there was none."""
        response_id = self._turn
        self._turn = ""
        return response_id

    def _begin(self, events: list[Event]) -> None:
        if self._answers.response_id:
            return
        self._unanswered_result = False
        events += self.user.close()
        started = self._answers.begin()
        events.append(started)
        self._audible = started.response_id
        self._turn = started.response_id
        self._cut = ""


def _outcome(reason: str | None, *, interrupted: bool) -> ResponseStatus:
    if interrupted:
        return "cancelled"
    if reason is None:
        return "completed"
    return "failed" if reason in _FAILURES else "incomplete"


def _failure(outcome: ResponseStatus, reason: str | None) -> ErrorOccurred:
    return ErrorOccurred(
        message=f"the model gave no complete answer: {reason}",
        code=reason,
        provider="gemini",
        cause="provider" if outcome == "failed" else "policy",
        advice="ask again, in other words",
    )
