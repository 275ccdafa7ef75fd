"""Tells a new session of a conversation that went on before it, as items of the protocol."""

import hashlib
from collections.abc import Sequence
from typing import Any

from ...conversation import SeedItem, SeedMessage, ToolRound
from ..base import Frame
from .wire import write

_LONGEST_CALL_ID = 32
_CONTENT = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


def frames(items: Sequence[SeedItem]) -> tuple[Frame, ...]:
    """One `conversation.item.create` for each item, two for a tool call that has its output.

    Each has an event id, so that a refusal can be told from one of a request that follows.

    Raises:
        ConfigurationError: If an item holds what JSON cannot express.
    """
    wanted = [item for past in items for item in _items(past)]
    return tuple(
        write({"type": "conversation.item.create", "event_id": f"past_{number}", "item": item})
        for number, item in enumerate(wanted, 1)
    )


def open_calls(items: Sequence[SeedItem]) -> dict[str, str]:
    """The calls whose results come later: their ids here, and on the wire."""
    rounds = (item for item in items if isinstance(item, ToolRound) and item.output is None)
    return {past.call_id: wire_call_id(past.call_id) for past in rounds}


def wire_call_id(call_id: str) -> str:
    """The id of a call that another connection made, which may be longer than this one allows."""
    if len(call_id) <= _LONGEST_CALL_ID:
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:_LONGEST_CALL_ID]


def _items(past: SeedItem) -> list[dict[str, Any]]:
    if isinstance(past, SeedMessage):
        content = [{"type": _CONTENT[past.role], "text": past.text}]
        return [{"type": "message", "role": past.role, "content": content}]
    call_id = wire_call_id(past.call_id)
    arguments = write(past.arguments)
    call = {
        "type": "function_call",
        "call_id": call_id,
        "name": past.function_name,
        "arguments": arguments,
    }
    if past.output is None:
        return [call]
    return [call, {"type": "function_call_output", "call_id": call_id, "output": past.output}]
