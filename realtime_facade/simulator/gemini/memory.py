"""What a simulated Gemini session remembers, what that costs in tokens, and how it is resumed."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from ..clock import Clock
from ..parts import Entry, Message
from .fields import Refusal, invalid

AUDIO_TOKENS_PER_SECOND = 25
_HANDLE_LIFETIME_S = 2 * 3600
_MOST_HANDLES = 1000


def text_tokens(text: str) -> int:
    """About four characters make a token."""
    return -(-len(text) // 4)


def audio_tokens(milliseconds: float) -> int:
    """25 tokens a second."""
    return round(milliseconds * AUDIO_TOKENS_PER_SECOND / 1000)


class Conversation:
    """The entries so far and their tokens. What was spoken counts as audio, its words do not."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.text_tokens = 0
        self.audio_tokens = 0

    def add(self, entry: Entry, *, audio_ms: float | None = None) -> None:
        """Remember an entry; `audio_ms` is its length if it was spoken."""
        self.entries.append(entry)
        if audio_ms is not None:
            self.audio_tokens += audio_tokens(audio_ms)
        elif isinstance(entry, Message):
            self.text_tokens += text_tokens(entry.text)
        else:
            self.text_tokens += text_tokens(entry.output)

    def copy(self) -> "Conversation":
        """The same as it is now."""
        copy = Conversation()
        copy.entries = list(self.entries)
        copy.text_tokens = self.text_tokens
        copy.audio_tokens = self.audio_tokens
        return copy


@dataclass(slots=True)
class Spent:
    """Tokens of one answer."""

    text: int = 0
    audio: int = 0
    thoughts: int = 0


def usage(prompt: Conversation, overhead: int, spent: Spent) -> dict[str, Any]:
    """`usageMetadata`: the whole context again for every answer, as the service counts it.

    In the recorded sessions thoughts are counted beside the total, not in it. Counts of 0 are
    left out, as in all protobuf JSON.

    Args:
        prompt: What the answer was made from.
        overhead: Tokens of instructions and tools.
        spent: On the answer.
    """
    before = [("TEXT", prompt.text_tokens + overhead), ("AUDIO", prompt.audio_tokens)]
    after = [("TEXT", spent.text), ("AUDIO", spent.audio)]
    given, made = sum(n for _, n in before), sum(n for _, n in after)
    counts = {
        "promptTokenCount": given,
        "responseTokenCount": made,
        "totalTokenCount": given + made,
        "promptTokensDetails": [{"modality": m, "tokenCount": n} for m, n in before if n],
        "responseTokensDetails": [{"modality": m, "tokenCount": n} for m, n in after if n],
        "thoughtsTokenCount": spent.thoughts,
    }
    return {name: count for name, count in counts.items() if count}


class Lease:
    """Who holds a conversation: one connection at a time."""

    def __init__(self) -> None:
        self.ended_at: float | None = None
        """`Clock.monotonic` of the connection's end; None while it is open."""


@dataclass(slots=True)
class _Kept:
    model: str
    conversation: Conversation
    lease: Lease


def not_resumed(why: Literal["unknown", "expired", "busy"]) -> Refusal:
    """The refusal of a handle; "busy" is one whose connection is still open."""
    match why:
        case "unknown":
            return invalid("Invalid session handle")
        case "expired":
            return Refusal(1008, "BidiGenerateContent session not found")
        case "busy":
            return Refusal(1011, "Internal error occurred.")


class Handles:
    """Session resumption handles and what they stand for: at most the newest 1000."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def keep(self, handle: str, model: str, conversation: Conversation, lease: Lease) -> None:
        """Make `handle` stand for the conversation as it is now."""
        self._kept[handle] = _Kept(model, conversation.copy(), lease)
        while len(self._kept) > _MOST_HANDLES:
            self._kept.popitem(last=False)

    def resume(self, handle: str, lease: Lease, clock: Clock) -> tuple[str, Conversation]:
        """The model and the conversation; from now on `lease` holds it.

        Raises:
            Refusal: If there is no such handle, its connection is still open, or ended 2 h ago.
        """
        kept = self._kept.get(handle)
        if kept is None:
            raise not_resumed("unknown")
        ended_at = kept.lease.ended_at
        if ended_at is None:
            raise not_resumed("busy")
        if clock.monotonic() - ended_at > _HANDLE_LIFETIME_S:
            raise not_resumed("expired")
        kept.lease = lease
        return kept.model, kept.conversation.copy()


def response_text(response: Any) -> str:
    """A function response as a mind reads it: the convention's `output` or `error`, else JSON."""
    if isinstance(response, dict):
        for name in ("output", "error"):
            if name in response:
                value = response[name]
                return value if isinstance(value, str) else json.dumps(value)
    return json.dumps(response if response is not None else {})
