"""Shows a conversation while it goes on: to people with colours, to programs as JSON lines."""

import json
import statistics
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..events import (
    AudioChunk,
    ConfigWarning,
    ErrorOccurred,
    Event,
    Interrupted,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
)
from ..redaction import redact_fields

LATENCIES = {
    "speech_end_to_transcript": "user's last sound to their words",
    "speech_end_to_first_audio": "user's last sound to the answer's first",
    "speech_start_to_silence": "user cuts in to the assistant's silence",
    "tool": "tool call to its result",
}


class Show(Protocol):
    """What a conversation is told to."""

    def note(self, text: str) -> None:
        """A remark for people."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def summary(self, summary: dict[str, Any]) -> None:
        """It is over."""


class JsonShow:
    """One JSON object a line: every event, then the summary. Audio is left out but its length."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def note(self, text: str) -> None:
        """Programs need no remarks."""

    def event(self, event: Event) -> None:
        """Write it."""
        self._write(json.dumps(fields_of(event)))

    def summary(self, summary: dict[str, Any]) -> None:
        """Write it."""
        self._write(json.dumps({"type": "summary", **summary}))


class TextShow:
    """Both sides' words as they come, what the tools did, and a table of latencies."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open_line: str | None = None
        self._calls: dict[str, ToolCallRequest] = {}

    def note(self, text: str) -> None:
        """Print it dimly."""
        self._line(f"[dim]{escape(text)}[/]")

    def event(self, event: Event) -> None:
        """Print what people care about."""
        match event:
            case TranscriptDelta(speaker="user", is_final=True):
                words = event.full_text or event.text
                self._line(f"[bold cyan]You[/]        {escape(words) or '[dim](nothing)[/]'}")
            case TranscriptDelta(speaker="assistant") if event.text:
                if self._open_line != event.item_id:
                    self._line("[bold green]Assistant[/]  ", end="")
                    self._open_line = event.item_id
                self._console.print(escape(event.text), end="", highlight=False, soft_wrap=True)
            case ToolCallRequest():
                # It overtakes the words that led to it; its result comes in order.
                self._calls[event.call_id] = event
            case ToolCallCompleted():
                call = self._calls.pop(event.call_id)
                arguments = ", ".join(f"{k}={v!r}" for k, v in call.arguments.items())
                self._line(f"[bold yellow]Tool[/]       {call.function_name}({escape(arguments)})")
                self._line(f"           -> {escape(event.output)}")
            case Interrupted():
                how = "about " if event.estimated else ""
                words = " ".join(item.heard_text for item in event.items).strip()
                self._line(
                    f"[bold red]Cut in[/]     after {how}{event.heard_ms} ms; heard: "
                    f"{escape(words) or 'nothing'}"
                )
            case ErrorOccurred() | ConfigWarning():
                self._line(f"[red]{event.type}[/]  {escape(event.message)}")

    def summary(self, summary: dict[str, Any]) -> None:
        """Print the latencies."""
        table = Table("Latency", "median", "worst", title_justify="left")
        for name, values in summary["latency_ms"].items():
            if values:
                median = f"{statistics.median(values):.0f} ms"
                table.add_row(LATENCIES[name], median, f"{max(values):.0f} ms")
        self._line("")
        self._console.print(table)
        if summary["recording"]:
            self.note(f"Recorded in {summary['recording']}: you left, the assistant right.")

    def _line(self, markup: str, end: str = "\n") -> None:
        if self._open_line is not None:
            self._console.print()
            self._open_line = None
        self._console.print(markup, end=end, highlight=False, soft_wrap=True)


def fields_of(event: Event) -> dict[str, Any]:
    """An event as JSON, without audio, of which the length is told, and without secrets."""
    if isinstance(event, AudioChunk):
        return {**event.model_dump(mode="json", exclude={"data"}), "data_bytes": len(event.data)}
    fields: dict[str, Any] = redact_fields(event.model_dump(mode="json"))
    return fields
