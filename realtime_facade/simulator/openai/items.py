"""The conversation on the OpenAI Realtime wire: its items, and what a mind sees of them."""

import asyncio
import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..clock import Ids
from ..parts import Entry, Message, ToolOutput
from ..speaking import tokens
from .wire import AnyItem, FunctionCallItem, FunctionCallOutputItem, WireError

_HIDDEN = ("audio",)
"""Of content parts: shown by `conversation.item.retrieve` alone."""


@dataclass(slots=True, eq=False)
class Item:
    """One item: `data` is its form on the wire, input audio included."""

    data: dict[str, Any]
    words: asyncio.Future[str] | None = None
    """What the recognizer makes of spoken user input; the wire shows it in events of its own."""
    generated_ms: float = 0.0
    """How much audio of a spoken answer exists."""
    heard_ms: int | None = None
    """How much of that was heard, where the client said so."""

    @property
    def id(self) -> str:
        return cast(str, self.data["id"])

    @property
    def is_spoken_answer(self) -> bool:
        """Whether it is assistant audio, which alone can be truncated."""
        if self.data["type"] != "message" or self.data["role"] != "assistant":
            return False
        return any(part["type"] == "output_audio" for part in self.data["content"])

    def view(self, *, whole: bool = False) -> dict[str, Any]:
        """As events show it; `whole` includes the user's audio."""
        view = dict(self.data)
        if "content" in view:
            hidden = () if whole else _HIDDEN
            view["content"] = [
                {key: value for key, value in part.items() if key not in hidden}
                for part in view["content"]
            ]
        return view

    def truncate(self, audio_end_ms: int) -> None:
        """Keep what was heard, to the last whole word.

        Raises:
            WireError: If it is no spoken answer, or there is less audio than that.
        """
        if not self.is_spoken_answer:
            raise WireError(
                "invalid_value", "Only model output audio messages can be truncated.", "item_id"
            )
        if audio_end_ms > self.generated_ms + 1:
            raise WireError(
                "invalid_value",
                f"Audio content of {int(self.generated_ms)}ms is already shorter than "
                f"{audio_end_ms}ms",
                "audio_end_ms",
            )
        part = self.data["content"][0]
        part["transcript"] = _heard(part["transcript"], audio_end_ms, self.generated_ms)
        self.generated_ms = float(audio_end_ms)
        self.heard_ms = audio_end_ms

    async def text(self) -> str:
        """What was said, as far as it was heard; waits for a recognizer that is still at work."""
        if self.words is not None:
            await asyncio.wait([self.words])
        return self.known_text

    @property
    def known_text(self) -> str:
        """The same without waiting: "" while a recognizer is at work."""
        if self.words is not None:
            if not self.words.done():
                return ""
            # A recognizer's failure is reported beside the conversation, in an event of its own.
            failed = self.words.cancelled() or self.words.exception()
            return "" if failed else self.words.result()
        parts = self.data.get("content", [])
        said = (part.get("text") or part.get("transcript") or "" for part in parts)
        return " ".join(filter(None, said))


class Conversation:
    """The items in order."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self.id = ids.make("conv_")
        self.items: list[Item] = []

    def find(self, item_id: str, action: str) -> Item:
        """The item of that id.

        Raises:
            WireError: If there is none; `action` is part of the code.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise WireError(
            f"item_{action}_invalid_item_id",
            f"Error {action.removesuffix('e')}ing item: the item with id '{item_id}' does not "
            "exist.",
            "item_id",
        )

    def build(self, wanted: AnyItem, beside: Sequence[Item] = ()) -> Item:
        """A new item as a client described it, not yet in the conversation.

        Args:
            wanted: What the client sent.
            beside: Items outside the conversation, whose calls it may answer.

        Raises:
            WireError: If it cannot be part of this conversation.
        """
        if wanted.id is not None and any(item.id == wanted.id for item in self.items):
            raise WireError(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{wanted.id}' already exists.",
                "item.id",
            )
        data: dict[str, Any] = {"id": wanted.id or self._ids.make("item_"), "type": wanted.type}
        match wanted:
            case FunctionCallOutputItem():
                calls = (item.data.get("call_id") for item in (*self.items, *beside))
                if wanted.call_id not in calls:
                    raise WireError(
                        "invalid_tool_call_id",
                        f"Tool call ID '{wanted.call_id}' not found in conversation.",
                        "item.call_id",
                    )
                data |= {"call_id": wanted.call_id, "output": wanted.output}
            case FunctionCallItem():
                data |= {
                    "status": "completed",
                    "name": wanted.name,
                    "call_id": wanted.call_id or self._ids.make("call_", 16),
                    "arguments": wanted.arguments,
                }
            case _:
                content = [
                    _part(wanted.role, part.model_dump(), i)
                    for i, part in enumerate(wanted.content)
                ]
                data |= {"status": "completed", "role": wanted.role, "content": content}
                if wanted.phase:
                    data["phase"] = wanted.phase
        return Item(data)

    def insert(self, item: Item, previous_item_id: str | None = None) -> str | None:
        """Put an item behind another, or at the end; returns the id of the one before it.

        Raises:
            WireError: If there is no such other item.
        """
        place = len(self.items)
        if previous_item_id == "root":
            place = 0
        elif previous_item_id is not None:
            ids = [other.id for other in self.items]
            if previous_item_id not in ids:
                raise WireError(
                    "invalid_value",
                    f"Previous item with id '{previous_item_id}' not found.",
                    "previous_item_id",
                )
            place = ids.index(previous_item_id) + 1
        self.items.insert(place, item)
        return self.items[place - 1].id if place else None


async def entries(items: Sequence[Item]) -> list[Entry]:
    """What a mind sees: messages as they were heard, and tool outputs."""
    for item in items:
        await item.text()
    return known_entries(items)


def known_entries(items: Iterable[Item], *, calls: Iterable[Item] = ()) -> list[Entry]:
    """The same without waiting for words.

    Args:
        items: Of which entries are made.
        calls: Items before them, among which the calls of outputs may be.
    """
    seen: list[Entry] = []
    named = {item.data["call_id"]: item.data for item in calls if "name" in item.data}
    for item in items:
        data = item.data
        if data["type"] == "message":
            if text := item.known_text:
                seen.append(Message(data["role"], text))
        elif data["type"] == "function_call":
            named[data["call_id"]] = data
        else:
            call = named.get(data["call_id"], {})
            arguments = _arguments(call.get("arguments", "{}"))
            seen.append(ToolOutput(call.get("name", ""), arguments, data["output"]))
    return seen


def user_audio(ids: Ids, pcm: bytes, words: asyncio.Future[str]) -> Item:
    """The user's turn as an item; `pcm` is in the wire's format."""
    audio = base64.b64encode(pcm).decode()
    return Item(
        {
            "id": ids.make("item_"),
            "type": "message",
            "status": "completed",
            "role": "user",
            # Recorded: null here for ever, also with transcription switched on.
            "content": [{"type": "input_audio", "transcript": None, "audio": audio}],
        },
        words=words,
    )


def tokens_of(items: Sequence[Item]) -> tuple[int, int]:
    """Roughly what the items cost as input: (text tokens, audio tokens)."""
    text = audio = 0
    for item in items:
        for part in item.data.get("content", ()):
            text += text_tokens(part.get("text") or "")
            audio += len(part.get("audio") or "") // 6_400  # 10 a second of 24 kHz PCM
        audio += round(item.generated_ms / 50)
        text += text_tokens(item.data.get("arguments", "")) + text_tokens(
            item.data.get("output", "")
        )
    return text, audio


def text_tokens(text: str) -> int:
    """Roughly the tokens of a text: 4 characters each."""
    return (len(text) + 3) // 4


def _part(role: str, part: dict[str, Any], index: int) -> dict[str, Any]:
    """A content part with the fields of its type.

    Raises:
        WireError: If this speaker has no such parts, or its content is missing.
    """
    allowed = {
        "system": {"input_text": "text"},
        "user": {"input_text": "text", "input_audio": "audio", "input_image": "image_url"},
        "assistant": {"output_text": "text"},
    }[role]
    kind = part["type"]
    param = f"item.content[{index}]"
    if kind not in allowed:
        names = ", ".join(f"'{name}'" for name in allowed)
        raise WireError(
            "invalid_value",
            f"Invalid value: '{kind}'. Supported values are: {names}.",
            f"{param}.type",
        )
    needed = allowed[kind]
    if part[needed] is None:
        raise WireError(
            "missing_required_parameter",
            f"Missing required parameter: '{param}.{needed}'.",
            f"{param}.{needed}",
        )
    if kind == "input_audio":
        return {"type": kind, "transcript": part["transcript"], "audio": part["audio"]}
    kept = {"type": kind, needed: part[needed]}
    return kept | ({"detail": part["detail"] or "auto"} if kind == "input_image" else {})


def _heard(transcript: str, heard_ms: float, generated_ms: float) -> str:
    """The words of a transcript that lie in its first `heard_ms`, as if all took equally long."""
    if generated_ms <= 0:
        return ""
    limit = len(transcript) * heard_ms / generated_ms
    heard = ""
    for token in tokens(transcript):
        if len(heard) + len(token) > limit + 0.5:
            break
        heard += token
    return heard


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
