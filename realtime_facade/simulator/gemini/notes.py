"""Understands the notes in which a client tells what has no place in this protocol's history."""

import json

from ...providers.gemini.past import NOTE
from ..parts import Entry, Message, ToolOutput
from ..record import OutputGiven


def read(role: str, text: str) -> list[tuple[Entry, OutputGiven | None]]:
    """What a model takes a text for: what somebody said, or outputs and words of the application.

    A real model understands such notes as it understands anything; here it takes a pattern.
    """
    if role != "user":
        return [(Message("assistant", text), None)]
    first, *notes = f"\n{text}".split(f"\n{NOTE}")
    said: list[tuple[Entry, OutputGiven | None]] = []
    if first.strip():
        said.append((Message("user", first.removeprefix("\n")), None))
    for note in notes:
        try:
            call = json.loads(note)
        except ValueError:
            call = None
        if not isinstance(call, dict) or "function" not in call:
            said.append((Message("system", note), None))
        elif (output := call.get("result", call.get("error"))) is not None:
            entry = ToolOutput(call["function"], call.get("arguments", {}), output)
            said.append((entry, OutputGiven(call.get("call", ""), output)))
    return said
