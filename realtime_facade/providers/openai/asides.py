"""Keeps the frames of out-of-band responses apart from the conversation.

A `response.create` with `conversation: "none"` may run beside the active response, so it must not
count as one. Only `SendRaw` can ask for it, and what it asked for arrives as `RawEvent`.
"""

from collections.abc import Mapping
from typing import Any

from . import wire


class Asides:
    """Which responses are out of band."""

    def __init__(self) -> None:
        self._asked = 0
        self._ids: set[str] = set()

    def note(self, data: Mapping[str, Any]) -> None:
        """Look at a raw message that is sent."""
        response = data.get("response")
        if data.get("type") == "response.create" and isinstance(response, Mapping):
            self._asked += response.get("conversation") == "none"

    def owns(self, message: wire.Message) -> bool:
        """Whether a message belongs to an out-of-band response."""
        if not self._asked and not self._ids:
            return False
        if isinstance(message, wire.ResponseCreated):
            response = message.response
            # Some compatible servers never name the conversation, so None alone says nothing.
            if self._asked and response.conversation_id is None:
                self._asked -= 1
                self._ids.add(response.id)
            return response.id in self._ids
        if isinstance(message, wire.ResponseDone):
            owned = message.response.id in self._ids
            self._ids.discard(message.response.id)
            return owned
        if isinstance(message, wire.Unknown):
            return False  # passed on as it is anyway
        return getattr(message, "response_id", "") in self._ids
