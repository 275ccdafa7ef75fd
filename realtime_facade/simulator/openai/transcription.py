"""What the OpenAI Realtime wire says about the user's words, beside the conversation."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from ..clock import Ids
from ..speaking import tokens
from .config import Transcription
from .items import text_tokens

_log = logging.getLogger(__name__)
_AUDIO_TOKENS_PER_SECOND = 10


def transcription_events(
    words: asyncio.Future[str],
    transcription: Transcription | None,
    seconds: float,
    ids: Ids,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ends of event names and their fields; none where nobody asked for a transcription.

    Args:
        words: Done: the recognizer's text or its failure.
        transcription: The session's setting.
        seconds: Length of the audio.
        ids: For padding.
    """
    if words.cancelled():
        return
    if error := words.exception():
        _log.error("the simulator's recognizer failed", exc_info=error)
        if transcription:
            yield "failed", {"error": _FAILED}
        return
    if transcription is None:
        return
    text = words.result()
    # Recorded: the first word of the deltas has a leading space, the whole has none.
    for delta in tokens(f" {text}") if text else []:
        yield "delta", {"delta": delta, "obfuscation": ids.make("", 16 - len(delta) % 16)}
    usage: dict[str, Any] = {"type": "duration", "seconds": round(seconds)}
    if "whisper" not in transcription.model:
        usage = _in_tokens(round(seconds * _AUDIO_TOKENS_PER_SECOND), text_tokens(text))
    yield "completed", {"transcript": text, "usage": usage}


_FAILED = {
    "type": "transcription_error",
    "code": "audio_unintelligible",
    "message": "The audio could not be transcribed.",
    "param": None,
}


def _in_tokens(audio: int, text: int) -> dict[str, Any]:
    return {
        "type": "tokens",
        "total_tokens": audio + text,
        "input_tokens": audio,
        "output_tokens": text,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
    }
