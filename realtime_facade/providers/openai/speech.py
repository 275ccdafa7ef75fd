"""What both sides say, item by item: whole samples, always new text, and an end to everything."""

from dataclasses import dataclass
from typing import Any, Literal

from ...errors import ProtocolError
from ...events import AudioChunk, ErrorOccurred, Event, TranscriptDelta
from ..limits import LONGEST_TEXT, MOST_ITEMS
from . import wire


@dataclass(slots=True)
class _Spoken:
    """What of an assistant item is under way; gone when its response is done."""

    response_id: str
    text: str | None = None
    """The words so far; None while there are none, and after the last."""
    audio: bool = False
    """Whether more audio may come."""
    half: bytes = b""
    """The first byte of a sample whose second one comes with the next delta."""


class Speech:
    """Turns the deltas of one connection into chunks and transcripts."""

    def __init__(self, provider: str) -> None:
        self.assistant_was_heard = False
        """Whether assistant audio is part of the conversation."""
        self._provider = provider
        self._spoken: dict[str, _Spoken] = {}
        self._user: dict[str, str] = {}

    def audio(self, message: wire.AudioDelta) -> tuple[Event, ...]:
        """Audio of an item; a byte that is half a sample waits for the item's next delta."""
        item_id, pcm = message.item_id, message.delta
        spoken = self._item(item_id, message.response_id)
        spoken.audio = self.assistant_was_heard = True
        if spoken.half or len(pcm) & 1:
            pcm = spoken.half + pcm
            whole = len(pcm) & ~1
            pcm, spoken.half = pcm[:whole], pcm[whole:]
        if not pcm:
            return ()
        return (AudioChunk(data=pcm, item_id=item_id, response_id=message.response_id),)

    def audio_done(self, message: wire.AudioDone) -> tuple[Event, ...]:
        """The end of an item's audio."""
        spoken = self._item(message.item_id, message.response_id)
        return self._end_of_audio(message.item_id, spoken)

    def words(self, message: wire.TextDelta) -> TranscriptDelta:
        """What the assistant says or writes.

        Raises:
            ProtocolError: If it is more than anybody says.
        """
        spoken = self._item(message.item_id, message.response_id)
        spoken.text = _longer(spoken.text or "", message.delta)
        return TranscriptDelta(
            text=message.delta, item_id=message.item_id, response_id=message.response_id
        )

    def words_done(self, message: wire.TextDone) -> TranscriptDelta:
        """The whole of what the assistant said in an item."""
        spoken = self._item(message.item_id, message.response_id)
        whole = _longer("", message.text)
        so_far, spoken.text = spoken.text or "", None
        return _final(message.item_id, so_far, whole, response_id=message.response_id)

    def user_words(self, message: wire.UserTextDelta) -> TranscriptDelta:
        """What the user says; it may come before the item is known or after the answer's end."""
        so_far = self._user.get(message.item_id, "")
        # The streaming recognizer's first word has a space before it, its whole text has none.
        text = (message.delta or "") if so_far else (message.delta or "").lstrip()
        self._user[message.item_id] = _longer(so_far, text)
        _keep_newest(self._user)
        return TranscriptDelta(text=text, speaker="user", item_id=message.item_id)

    def user_words_done(self, message: wire.UserTextDone) -> TranscriptDelta:
        """The whole of what the user said in an item."""
        so_far = self._user.pop(message.item_id, "")
        whole = _longer("", message.transcript.strip())
        return _final(message.item_id, so_far, whole, speaker="user")

    def user_words_failed(self, item_id: str) -> TranscriptDelta:
        """The end of an item that cannot be written down: no more than came so far."""
        so_far = self._user.pop(item_id, "")
        return _final(item_id, so_far, so_far, speaker="user")

    def end_of(self, response_id: str) -> list[Event]:
        """End what a response left open; its own end events may be missing when it was cut."""
        events: list[Event] = []
        for item_id in [i for i, s in self._spoken.items() if s.response_id == response_id]:
            spoken = self._spoken.pop(item_id)
            if spoken.audio:
                events += self._end_of_audio(item_id, spoken)
            if spoken.text is not None:
                events.append(_final(item_id, spoken.text, spoken.text, response_id=response_id))
        return events

    def _item(self, item_id: str, response_id: str) -> _Spoken:
        spoken = self._spoken.get(item_id)
        if spoken is None:
            spoken = self._spoken[item_id] = _Spoken(response_id)
            _keep_newest(self._spoken)
        return spoken

    def _end_of_audio(self, item_id: str, spoken: _Spoken) -> tuple[Event, ...]:
        last = AudioChunk(data=b"", is_final=True, item_id=item_id, response_id=spoken.response_id)
        half, spoken.half = spoken.half, b""
        spoken.audio = False
        if not half:
            return (last,)
        error = ProtocolError(
            "an item's audio ended in the middle of a sample; the half sample was left out",
            provider=self._provider,
        )
        return (ErrorOccurred.of(error), last)


def _longer(text: str, more: str) -> str:
    if len(text) + len(more) > LONGEST_TEXT:
        raise ProtocolError(
            f"an item has more than {LONGEST_TEXT} characters; the rest is left out"
        )
    return text + more


def _keep_newest(items: dict[str, Any]) -> None:
    if len(items) > MOST_ITEMS:
        del items[next(iter(items))]


def _final(
    item_id: str,
    so_far: str,
    whole: str,
    *,
    speaker: Literal["user", "assistant"] = "assistant",
    response_id: str = "",
) -> TranscriptDelta:
    # Words that were emitted cannot be taken back. Where the recognizer corrected itself, `text`
    # stays empty and only `full_text` is right.
    return TranscriptDelta(
        text=whole[len(so_far) :] if whole.startswith(so_far) else "",
        is_final=True,
        speaker=speaker,
        full_text=whole,
        item_id=item_id,
        response_id=response_id,
    )
