"""Gives the user's utterances and the model's answers the ids and ends that Gemini's wire lacks."""

from dataclasses import dataclass

from ...events import (
    AudioChunk,
    ErrorOccurred,
    Event,
    ResponseStarted,
    ThoughtDelta,
    TranscriptDelta,
)
from ..limits import LONGEST_TEXT


@dataclass(slots=True)
class _Words:
    item_id: str
    text: str = ""
    is_final: bool = False


class Utterances:
    """What the user says, as items "user-1", "user-2" and so on.

    The service marks neither the end of a transcript nor whose utterance a chunk belongs to, and a
    chunk may come after the answer to it has begun. So a transcript is final when its speech has
    ended or an answer begins. A chunk after that extends the same item: it is a final delta again,
    with the longer `full_text`. Once that answer has ended, or new speech has begun, words belong
    to the next item.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._count = 0
        self._words: _Words | None = None

    @property
    def item_id(self) -> str:
        """The utterance to which words belong that come now."""
        return self._current().item_id

    def begin(self) -> list[Event]:
        """New speech was heard, or announced by hand."""
        events = self.close()
        if self._words is not None and self._words.text:
            self._words = None
        return events

    def hear(self, text: str) -> TranscriptDelta | ErrorOccurred:
        """A chunk of the transcript."""
        words = self._current()
        if len(words.text) + len(text) > LONGEST_TEXT:
            return _too_long(words.item_id)
        words.text += text
        return TranscriptDelta(
            text=text,
            is_final=words.is_final,
            speaker="user",
            full_text=words.text if words.is_final else None,
            item_id=words.item_id,
        )

    def close(self) -> list[Event]:
        """The speech has ended. Without words so far it stays open for them."""
        words = self._words
        if words is None or words.is_final or not words.text:
            return []
        words.is_final = True
        return [
            TranscriptDelta(
                text="",
                is_final=True,
                speaker="user",
                full_text=words.text,
                item_id=words.item_id,
            )
        ]

    def settle(self) -> None:
        """The answer has ended: what comes now extends a final transcript no longer."""
        if self._words is not None and self._words.is_final:
            self._words = None

    def _current(self) -> _Words:
        if self._words is None:
            self._count += 1
            self._words = _Words(f"{self._prefix}user-{self._count}")
        return self._words


class Answers:
    """What the model says: responses "response-1" ..., in them items "item-1" and so on.

    A response lasts until the service calls the turn complete, an item until it calls the
    generation complete. Usually they are one to one.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._responses = 0
        self._items = 0
        self.response_id = ""
        """Of the open response; empty between responses."""
        self._item_id = ""
        self._text = ""
        self._rate = 0
        """Of the item's audio; 0 before it has any."""
        self._half_sample = b""

    def begin(self) -> ResponseStarted:
        """Open a response."""
        self._responses += 1
        self.response_id = f"{self._prefix}response-{self._responses}"
        return ResponseStarted(response_id=self.response_id)

    def speak(self, pcm: bytes, rate: int) -> AudioChunk | None:
        """Audio of the open response; None while it is not a whole sample."""
        item_id = self._item()
        self._rate = rate
        if self._half_sample:
            pcm = self._half_sample + pcm
            self._half_sample = b""
        if len(pcm) % 2:
            pcm, self._half_sample = pcm[:-1], pcm[-1:]
        if not pcm:
            return None
        return AudioChunk(data=pcm, sample_rate=rate, item_id=item_id, response_id=self.response_id)

    def write(self, text: str) -> TranscriptDelta | ErrorOccurred:
        """Text of the open response: what it says, or what it answers in writing."""
        item_id = self._item()
        if len(self._text) + len(text) > LONGEST_TEXT:
            return _too_long(item_id)
        self._text += text
        return TranscriptDelta(text=text, item_id=item_id, response_id=self.response_id)

    def think(self, text: str) -> ThoughtDelta:
        """A thought of the open response."""
        return ThoughtDelta(text=text, response_id=self.response_id)

    def close_item(self) -> list[Event]:
        """The item gets no more: the final markers of what it had."""
        events: list[Event] = []
        if self._rate:
            events.append(
                AudioChunk(
                    data=b"",
                    sample_rate=self._rate,
                    is_final=True,
                    item_id=self._item_id,
                    response_id=self.response_id,
                )
            )
        if self._text:
            events.append(
                TranscriptDelta(
                    text="",
                    is_final=True,
                    full_text=self._text,
                    item_id=self._item_id,
                    response_id=self.response_id,
                )
            )
        if self._half_sample:
            events.append(
                ErrorOccurred(
                    message=f"the audio of {self._item_id} ended within a sample",
                    provider="gemini",
                    cause="protocol",
                    advice="the half sample was dropped",
                )
            )
        self._item_id, self._text, self._rate, self._half_sample = "", "", 0, b""
        return events

    def end(self) -> None:
        """Close the response; its item was closed before."""
        self.response_id = ""

    def _item(self) -> str:
        if not self._item_id:
            self._items += 1
            self._item_id = f"{self._prefix}item-{self._items}"
        return self._item_id


def _too_long(item_id: str) -> ErrorOccurred:
    return ErrorOccurred(
        message=f"{item_id} has more than {LONGEST_TEXT} characters; the rest is left out",
        provider="gemini",
        cause="protocol",
    )
