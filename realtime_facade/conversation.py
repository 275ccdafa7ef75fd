"""The conversation as text: who said what, how much of it was heard, which tools ran."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from .errors import ConfigurationError
from .events import Speaker

MOST_ENTRIES = 50_000
"""Turns and tool calls of one conversation; far beyond what people say in a day."""
MOST_CHARACTERS = 20_000_000

_NEVER_ANSWERED = "the call was never answered"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeedMessage(_Data):
    """Something that was said before the connection began."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system"]
    text: str

    @classmethod
    def user(cls, text: str) -> Self:
        """What the user said."""
        return cls(role="user", text=text)

    @classmethod
    def assistant(cls, text: str) -> Self:
        """What the assistant said."""
        return cls(role="assistant", text=text)


class ToolRound(_Data):
    """A tool call of the assistant with its one output."""

    type: Literal["tool_round"] = "tool_round"
    call_id: str
    function_name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    output: str | None = None
    """What the model was told; None while the tool runs."""
    is_error: bool = False


SeedItem = Annotated[SeedMessage | ToolRound, Field(discriminator="type")]
"""What a connection can begin with, oldest first."""


class ConversationSeed(_Data):
    """A conversation that the model takes for its own past; told before the microphone opens."""

    messages: tuple[SeedItem, ...] = ()
    """What was said, and the tool calls among it, oldest first."""

    @classmethod
    def from_pairs(cls, *pairs: tuple[str, str]) -> Self:
        """Exchanges of what the user said and what the assistant answered."""
        said = ((SeedMessage.user(user), SeedMessage.assistant(answer)) for user, answer in pairs)
        return cls(messages=tuple(message for pair in said for message in pair))

    @classmethod
    def from_history(cls, history: "ConversationHistory") -> Self:
        """A conversation that was held before, as it was heard."""
        return cls(messages=history.as_past())

    @field_validator("messages")
    @classmethod
    def _nothing_runs(cls, items: tuple[SeedItem, ...]) -> tuple[SeedItem, ...]:
        return tuple(map(_closed, items))


@dataclass(slots=True)
class ConversationTurn:
    """What one speaker said without a break."""

    role: Speaker
    text: str = ""
    interrupted: bool = False
    heard_ms: int | None = None
    """Of an interrupted answer: how much of it was heard."""
    seeded: bool = False
    """Whether it comes from a `ConversationSeed` and was not said in this session."""

    @property
    def content(self) -> str:
        """The same as `text`."""
        return self.text


@dataclass(slots=True)
class _Entry:
    what: ConversationTurn | SeedMessage | ToolRound
    position: int
    """Of the history, when it last changed in a way that a provider may not know of."""
    written: bool = False
    """Whether it was sent as text: the provider knows of it when it has read that."""
    awaited: bool = False
    """A turn that was spoken and whose words are still to come."""
    shown: bool = False
    """A turn that somebody has seen in its place."""


class ConversationHistory:
    """What was said and done, in the order in which it began. Grows with the conversation.

    Nothing moves once it is visible: whoever has seen the first n turns sees the same n turns for
    ever. Only the text of a turn changes, while it is being said and when it is cut. A spoken turn
    whose words are still to come keeps its place by hiding what follows it.

    Args:
        seed: How the conversation begins.
    """

    def __init__(self, seed: ConversationSeed | None = None) -> None:
        self._entries: list[_Entry] = []
        self.position = 0
        """Grows with everything that a provider may have to be told of; see `as_past`."""
        self.left_out = 0
        """Turns and calls for which there was no room: what is there never moves."""
        self._characters = 0
        for item in seed.messages if seed is not None else ():
            if isinstance(item, SeedMessage) and item.role != "system":
                self._add(ConversationTurn(item.role, item.text, seeded=True))
            else:
                self._add(item)

    @property
    def turns(self) -> list[ConversationTurn]:
        """Turns that have words. An answer of which nothing was heard is none."""
        visible: list[ConversationTurn] = []
        for entry in self._entries:
            if entry.awaited:
                break
            if isinstance(entry.what, ConversationTurn) and (entry.what.text or entry.shown):
                entry.shown = True
                visible.append(entry.what)
        return visible

    @property
    def conversation_turns(self) -> list[ConversationTurn]:
        """The same as `turns`."""
        return self.turns

    @property
    def tool_rounds(self) -> list[ToolRound]:
        """Every tool call, with its output where there is one already."""
        return [entry.what for entry in self._entries if isinstance(entry.what, ToolRound)]

    @property
    def awaits_words(self) -> bool:
        """Whether something was said whose words are still to come over this connection."""
        return any(entry.awaited for entry in self._entries)

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[ConversationTurn]:
        return iter(self.turns)

    def format(self) -> str:
        """The conversation as lines of `User: ...` and `Assistant: ...`."""
        turns = (turn for turn in self.turns if turn.text)
        return "\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in turns)

    def as_past(
        self, since: int = 0, *, written_since: int | None = None, results_since: int | None = None
    ) -> tuple[SeedItem, ...]:
        """What another connection has to be told, oldest first.

        Args:
            since: A `position` of before: only what came after it, and the calls that still run.
            written_since: The same for what was written and not spoken; None: `since`.
            results_since: The same for the results of tools; None: `since`.
        """
        written_since = since if written_since is None else written_since
        results_since = since if results_since is None else results_since

        def is_new(entry: _Entry) -> bool:
            if isinstance(entry.what, ToolRound):
                return entry.what.output is None or entry.position > results_since
            return entry.position > (written_since if entry.written else since)

        items = (_item(entry.what) for entry in self._entries if is_new(entry))
        return tuple(item for item in items if item is not None)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON in UTF-8, replacing what is there.

        Raises:
            ConfigurationError: If the file cannot be written.
        """
        items = tuple(
            _Turn.model_validate(entry.what, from_attributes=True)
            if isinstance(entry.what, ConversationTurn)
            else entry.what
            for entry in self._entries
            if not entry.awaited
        )
        text = json.dumps(_File(items=items).model_dump(mode="json"), indent=2)
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"the conversation cannot be written to {path}: {error}",
                cause="application",
                advice="give the path of a file in a folder that exists and can be written to",
            ) from error

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ConfigurationError: If the file cannot be read or is something else.
        """
        try:
            file = _File.model_validate(json.loads(Path(path).read_bytes()))
        except (OSError, ValueError, RecursionError) as error:
            # A fault in it is not quoted: it holds what people said.
            what = error if isinstance(error, OSError) else type(error).__name__
            raise ConfigurationError(
                f"{path} is not a saved conversation: {what}",
                cause="application",
                advice="give a file that ConversationHistory.save wrote",
            ) from None
        history = cls()
        for item in file.items:
            if isinstance(item, _Turn):
                history._add(ConversationTurn(**item.model_dump(exclude={"type"})))
            else:
                history._add(item)
        return history

    # -- written by the session ---------------------------------------------------------------

    def begin(self, role: Speaker, text: str = "", *, awaited: bool = False) -> ConversationTurn:
        """Take a place for a turn that is spoken; its words may follow.

        Args:
            role: Who speaks.
            text: What was said so far.
            awaited: Hide all that follows until there are words, or the place is dropped.
        """
        turn = ConversationTurn(role, text)
        self._add(turn, awaited=awaited)
        return turn

    def write(self, turn: ConversationTurn, text: str) -> None:
        """The words of a turn so far. One that has lost all its words stays without."""
        entry = self._entry(turn)
        if entry is None or (not turn.text and not entry.awaited):
            return
        self._characters += len(text) - len(turn.text)
        if turn.role == "assistant" and len(text) > len(turn.text):
            # What a provider remembers of an answer is what it had said when it noted it.
            entry.position = self._moved()
        turn.text, entry.awaited = text, False

    def drop(self, turn: ConversationTurn) -> None:
        """Give up a place whose words do not come; nothing if they have."""
        entry = self._entry(turn)
        if entry is not None and entry.awaited:
            self._entries.remove(entry)

    def tell(self, message: SeedMessage) -> None:
        """What was written: a turn, or the application's own word, which is nobody's turn."""
        if message.role == "system":
            self._add(message, written=True)
        else:
            self._add(ConversationTurn(message.role, message.text), written=True)

    def call(self, call: ToolRound) -> None:
        """The model called a tool."""
        self._add(call)

    def answer(self, call_id: str, output: str, *, is_error: bool = False) -> None:
        """The one output of the newest call of that id."""
        for entry in reversed(self._entries):
            if isinstance(entry.what, ToolRound) and entry.what.call_id == call_id:
                if entry.what.output is None:
                    self._characters += len(output)
                    answered = {"output": output, "is_error": is_error}
                    entry.what = entry.what.model_copy(update=answered)
                    entry.position = self._moved()
                return

    def _add(
        self,
        what: ConversationTurn | SeedMessage | ToolRound,
        *,
        written: bool = False,
        awaited: bool = False,
    ) -> None:
        if len(self._entries) >= MOST_ENTRIES or self._characters >= MOST_CHARACTERS:
            self.left_out += 1
            return
        if isinstance(what, ToolRound):
            self._characters += len(what.model_dump_json())
        else:
            self._characters += len(what.text)
        self._entries.append(_Entry(what, self._moved(), written, awaited))

    def _moved(self) -> int:
        self.position += 1
        return self.position

    def _entry(self, turn: ConversationTurn) -> _Entry | None:
        # From the end: what changes is recent. None for a turn that found no room.
        return next((entry for entry in reversed(self._entries) if entry.what is turn), None)


class _Turn(_Data):
    """A turn in a file."""

    type: Literal["turn"] = "turn"
    role: Speaker
    text: str
    interrupted: bool = False
    heard_ms: int | None = None
    seeded: bool = False


class _File(_Data):
    version: Literal[1] = 1
    items: tuple[Annotated[_Turn | SeedMessage | ToolRound, Field(discriminator="type")], ...]


def _item(what: ConversationTurn | SeedMessage | ToolRound) -> SeedMessage | ToolRound | None:
    if not isinstance(what, ConversationTurn):
        return what
    return SeedMessage(role=what.role, text=what.text) if what.text.strip() else None


def _closed(item: SeedMessage | ToolRound) -> SeedMessage | ToolRound:
    """An item of a conversation that is over: nobody will answer its calls any more."""
    if isinstance(item, ToolRound) and item.output is None:
        return item.model_copy(update={"output": _NEVER_ANSWERED, "is_error": True})
    return item
