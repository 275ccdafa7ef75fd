"""When an answer may be asked for: one response at a time, one output for every tool call.

The protocol refuses a second response while one is active, so requests wait here. Everything in
this file is state and rules; frames and events are made by the codec.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ...commands import RequestResponse
from ...errors import ConfigurationError
from ..limits import MOST_CALLS

MOST_UNREAD = 64
"""Items that wait for their confirmation; where so many do, none may ever come."""


@dataclass(slots=True)
class Batch:
    """The tool calls of one response."""

    response_id: str
    open: set[str] = field(default_factory=set)
    """Calls without a result."""
    respond: bool = False
    """Whether a result so far wants the model to go on."""
    response_done: bool = False

    @property
    def closed(self) -> bool:
        """Whether every call has its result and no further call can come."""
        return self.response_done and not self.open


class Turns:
    """The active response, the requests that wait for its end, and the open tool calls."""

    def __init__(self, restored: Iterable[str] = ()) -> None:
        """`restored`: calls of an earlier connection that still want a result."""
        self.active: str | None = None
        """Id of the response being generated; "" when only the provider knows it."""
        self.requested = False
        """A request was sent, and its response has not been created yet."""
        self.sent = 0
        """How many requests were sent."""
        self._waiting: RequestResponse | None = None
        self._in_flight: RequestResponse | None = None
        self._floor: Literal["free", "user", "vad"] = "free"
        self._told = 0
        self._unread: set[str] = set()
        """Items that were sent and that the provider has not read yet."""
        self._confirms = False
        """Whether the provider says what it has read; some compatible servers do not."""
        self._batches: dict[str, Batch] = {}
        before = Batch("", open=set(restored), response_done=True)
        self._calls: dict[str, Batch | None] = dict.fromkeys(before.open, before)

    def request(self, request: RequestResponse) -> None:
        """Ask for a response; several that wait become one, with all their instructions.

        What only fills the time while tools run gives way to everything else.
        """
        waiting = self._waiting
        if waiting is not None and waiting.interim != request.interim:
            self._waiting = request if waiting.interim else waiting
            return
        earlier = waiting.instructions if waiting else None
        asked = [text for text in (earlier, request.instructions) if text is not None]
        self._waiting = RequestResponse(
            instructions="\n\n".join(asked) if asked else None, interim=request.interim
        )

    def next(self) -> RequestResponse | None:
        """The request that may be sent now; it counts as sent."""
        if self.requested or self.active is not None or self._floor != "free":
            return None
        request, self._waiting = self._waiting, None
        if request is not None:
            self._in_flight = request
            self.requested = True
            self.sent += 1
        return request

    def tell(self) -> str:
        """An item is going to be sent; the id that it has to have."""
        self._told += 1
        item_id = f"told_{self._told}"
        if len(self._unread) >= MOST_UNREAD:
            self._unread.clear()
        self._unread.add(item_id)
        return item_id

    def read(self, item_id: str | None) -> None:
        """The provider has added an item to the conversation."""
        self._confirms = True
        self._unread.discard(item_id or "")

    @property
    def quiet(self) -> bool:
        """Whether no response is active, requested or waiting to be requested."""
        return self.active is None and not self.requested and self._waiting is None

    @property
    def _calls_open(self) -> bool:
        return any(batch is not None for batch in self._calls.values())

    def speech_started(self) -> None:
        """The user took the floor, and the provider's VAD will ask for the answer."""
        self._floor = "user"

    def speech_committed(self) -> None:
        """The user's speech became an item; the VAD's response comes next."""
        if self._floor == "user":
            self._floor = "vad"

    def speech_withdrawn(self) -> None:
        """The speech was cleared or committed by hand: the VAD will not ask for an answer."""
        if self._floor == "user":
            self._floor = "free"

    def vad_off(self) -> None:
        """Nobody but the application asks for answers any more."""
        self._floor = "free"

    def created(self, response_id: str) -> None:
        """A response began: ours if one was requested.

        Otherwise the VAD's; it answers everything said so far, so a waiting request is dropped,
        unless it is about something that was sent too late for that.
        """
        self.active = response_id
        if self.requested:
            self.requested = False
        elif self._floor != "free":
            self._floor = "free"
            if not (self._confirms and self._unread):
                self._waiting = None
        self._unread.clear()

    def done(self, response_id: str, *, cancelled: bool = False) -> bool:
        """A response ended. True if no tool call of it is open, or of those it was to fill the
        time of.

        A cancel overrides the wish to go on of results that came before it.
        """
        interim = False
        if self.active in (response_id, ""):
            interim = self._in_flight is not None and self._in_flight.interim
            self.active = None
            self._in_flight = None
        batch = self._batches.get(response_id)
        if batch is None:
            return not (interim and self._calls_open)
        batch.response_done = True
        batch.respond = batch.respond and not cancelled
        return self._settle(batch)

    def busy(self) -> None:
        """A request was refused because a response is active: it waits for that one's end.

        Where none was sent, the VAD's own was refused, and a plain one stands in for it.
        """
        self.request(self._in_flight or RequestResponse())
        self.requested = False
        self._floor = "free"
        if self.active is None:
            self.active = ""

    def refused(self) -> bool:
        """The provider failed to start a response. True if one was expected."""
        expected = self.requested or self._floor == "vad"
        self.requested = False
        self._in_flight = None
        if self._floor == "vad":
            self._floor = "free"
        return expected

    def call(self, call_id: str, response_id: str) -> bool:
        """Note a tool call. False if it is known already."""
        if call_id in self._calls:
            return False
        batch = self._batches.setdefault(response_id, Batch(response_id))
        batch.open.add(call_id)
        self._calls[call_id] = batch
        if len(self._calls) > MOST_CALLS:
            self._forget(next(iter(self._calls)))
        return True

    def _forget(self, call_id: str) -> None:
        batch = self._calls.pop(call_id)
        if batch is not None:
            batch.open.discard(call_id)
        for response_id in [r for r, b in self._batches.items() if not b.open]:
            if response_id != self.active:
                # Its response has not ended in all that time.
                del self._batches[response_id]

    def answer(self, call_id: str, respond: bool) -> Batch:
        """Note the one result of a call; the last one of a batch asks for a response.

        Raises:
            ConfigurationError: If the call is unknown or has its result already; the model
                must get exactly one.
        """
        batch = self._calls.get(call_id)
        if batch is None:
            known = call_id in self._calls
            raise ConfigurationError(
                f"tool call {call_id!r} "
                + ("has its result already" if known else "was not made on this connection"),
                code="tool_call_answered" if known else "tool_call_unknown",
                cause="application",
                advice="send one result for each ToolCallRequest of this connection",
            )
        self._calls[call_id] = None
        batch.open.remove(call_id)
        batch.respond = batch.respond or respond
        self._settle(batch)
        return batch

    def _settle(self, batch: Batch) -> bool:
        if not batch.closed:
            return False
        self._batches.pop(batch.response_id, None)
        if self._waiting is not None and self._waiting.interim and not self._calls_open:
            self._waiting = None
        if batch.respond:
            self.request(RequestResponse())
        return True
