"""Falling silent when the user cuts in, so that the model remembers what was heard and no more.

The order is fixed: flush the sink, read the ledger, forget stale deltas, truncate, tell the
application. All of it happens before anything waits for the network.
"""

from collections.abc import Callable
from typing import Literal

from ..audio.playback import Cut, Playback
from ..commands import AnyCommand, CancelResponse, DeleteItem, TruncateOutput
from ..events import Event, HeardItem, Interrupted, TranscriptDelta
from ..providers.base import Profile
from .hold import NOTHING_HELD, Held
from .state import Conversation

CutReason = Literal["speech", "request", "guardrail"]


def interrupt(
    playback: Playback,
    conversation: Conversation,
    profile: Profile,
    *,
    reason: CutReason,
    cancel: bool,
    held: Held = NOTHING_HELD,
    written: bool = False,
    said: Callable[[str, str], str] = lambda item_id, text: text,
) -> tuple[list[AnyCommand], list[Event]] | None:
    """Cut what is being said. None if nothing was being generated or heard.

    Args:
        reason: What the application is told.
        cancel: Ask the provider to stop generating. Never on the user's speech: a provider that
            detects speech has cancelled by itself, and a late cancel would hit the next answer.
        held: What was received and is kept back from the listener.
        written: Whether the answers are text alone: what was told of them counts as heard.
        said: How much of an unfinished item's text so far can be in the sound that was received.
    """
    response = conversation.active_response
    generating = response is not None and not conversation.is_stale(response)
    if not generating and not playback.pending_ms and not held:
        return None
    texts = dict(conversation.transcripts)
    unfinished = sorted(conversation.unfinished | held.characters.keys())
    estimated = playback.estimated
    told = {item: text[: len(text) - held.characters.get(item, 0)] for item, text in texts.items()}
    ahead: set[str] = set()
    if reason == "guardrail":
        # Of what is being generated the words come first, and the provider is ahead of both:
        # neither may be remembered.
        ahead = set(conversation.unfinished)
        texts |= {item: said(item, texts.get(item, "")) for item in ahead}
    cuts = playback.cut(held.samples, ahead)
    conversation.cut()
    commands: list[AnyCommand] = []
    if cancel and response is not None and profile.supports_cancel:
        commands.append(CancelResponse(response_id=response))
    if written:
        items = tuple(_read(item_id, told.get(item_id, "")) for item_id in unfinished)
    else:
        items = tuple(
            _heard(cut, playback.rate, texts.get(cut.item_id, ""), told.get(cut.item_id, ""))
            for cut in cuts
        )
    if profile.supports_truncation and (not written or reason == "guardrail"):
        commands += [
            TruncateOutput(item_id=item.item_id, audio_end_ms=item.heard_ms)
            if item.heard_ms
            else DeleteItem(item_id=item.item_id)
            for item in items
        ]
    audible = next((item for item in items if item.heard_ms), None)
    interrupted = Interrupted(
        item_id=audible.item_id if audible else None,
        heard_ms=audible.heard_ms if audible else 0,
        items=items,
        reason=reason,
        estimated=estimated,
    )
    heard = {item_id: told.get(item_id, "") for item_id in held.samples}
    heard |= {item.item_id: item.heard_text for item in items}
    finals = [
        TranscriptDelta(
            text="",
            is_final=True,
            full_text=heard.get(item_id, told.get(item_id, "").rstrip()),
            item_id=item_id,
            response_id=response or "",
        )
        for item_id in unfinished
    ]
    return commands, [interrupted, *finals]


def _heard(cut: Cut, rate: int, text: str, told: str) -> HeardItem:
    words = heard_text(text, cut.heard / cut.received if cut.received else 0.0)
    # Milliseconds are rounded down: providers refuse a position beyond what they sent.
    return HeardItem(
        item_id=cut.item_id,
        heard_ms=cut.heard * 1000 // rate,
        received_ms=cut.received * 1000 // rate,
        heard_text=words if len(words) <= len(told) else told.rstrip(),
    )


def _read(item_id: str, told: str) -> HeardItem:
    return HeardItem(item_id=item_id, heard_ms=0, received_ms=0, heard_text=told.rstrip())


def heard_text(text: str, share: float) -> str:
    """The words of `text` that fit into a share (0-1) of its duration."""
    end = int(len(text) * share)
    if end < len(text) and not text[end].isspace():
        end = text.rfind(" ", 0, end) + 1
    return text[:end].rstrip()
