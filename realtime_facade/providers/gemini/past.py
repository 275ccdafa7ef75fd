"""Tells the model of a conversation that went on before, in turns of text.

Functions and the application's own words have no place in a history here (function parts are
refused by some models, a system role by all), so they are told in notes among the user's text.
"""

import json
from collections.abc import Sequence
from typing import Any

from ...commands import SendToolResult
from ...conversation import SeedItem, ToolRound
from ..base import Frame
from .wire import Role, encode

NOTE = "(A note by the application, not said by the user) "
"""How every such note begins."""


def content(items: Sequence[SeedItem], *, turn_complete: bool) -> Frame:
    """All items in one message; what one side said or was told in a row is one turn."""
    turns: list[dict[str, Any]] = []
    for item in items:
        role, text = _told(item)
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "parts": []})
        turns[-1]["parts"].append({"text": text})
    return encode({"clientContent": {"turns": turns, "turnComplete": turn_complete}})


def note(text: str) -> str:
    """Words of the application, as the model is told them."""
    return NOTE + text


class OpenCalls:
    """Calls that an earlier connection made and whose results come now.

    The service does not know them, so the results are told as text: all in one, since each text
    asks for an answer of its own.
    """

    def __init__(self, items: Sequence[SeedItem]) -> None:
        rounds = (item for item in items if isinstance(item, ToolRound) and item.output is None)
        self._open = {past.call_id: past for past in rounds}
        self._notes: list[str] = []
        self._respond = False

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._open

    def answer(self, result: SendToolResult) -> None:
        """Keep the one result of a call."""
        call = self._open.pop(result.call_id)
        self._notes.append(_outcome(call, result.output, failed=result.is_error))
        self._respond = self._respond or result.respond

    def take(self) -> tuple[str, bool] | None:
        """What to tell, and whether to ask for an answer; None while a result is missing."""
        if self._open or not self._notes:
            return None
        notes, self._notes = self._notes, []
        return "\n".join(notes), self._respond


def _told(item: SeedItem) -> tuple[Role, str]:
    if isinstance(item, ToolRound):
        if item.output is None:
            return "user", _call(item, status="still running, its result comes later")
        return "user", _outcome(item, item.output, failed=item.is_error)
    if item.role == "assistant":
        return "model", item.text
    return "user", item.text if item.role == "user" else note(item.text)


def _outcome(call: ToolRound, output: str, *, failed: bool) -> str:
    return _call(call, **{"error" if failed else "result": output})


def _call(call: ToolRound, **more: str) -> str:
    told = {"function": call.function_name, "arguments": call.arguments}
    told |= {"call": call.call_id, **more}
    # The model reads this: what JSON cannot express is told in words.
    return note(json.dumps(told, ensure_ascii=False, default=str))
