"""What parsers keep of what they have read: nothing. Ids come by the ten thousand."""

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest

from realtime_facade.providers.gemini import wire as gemini
from realtime_facade.providers.openai import wire as openai

FRAMES = 3_000


def openai_known(number: int) -> object:
    return openai.parse(
        json.dumps(
            {
                "type": "response.output_audio_transcript.delta",
                "event_id": f"event_{number:021}",
                "response_id": f"resp_{number:021}",
                "item_id": f"item_{number:021}",
                "delta": f" word {number}",
            }
        )
    )


def openai_unknown(number: int) -> object:
    return openai.parse(json.dumps({"type": "rate_limits.updated", "event_id": f"event_{number}"}))


def gemini_known(number: int) -> object:
    update = {"newHandle": f"handle {number}", "resumable": True}
    return gemini.parse(json.dumps({"sessionResumptionUpdate": update}).encode())


def gemini_untyped(number: int) -> object:
    return gemini.untyped(json.dumps({"somethingNew": f"value {number}"}).encode())


@pytest.mark.parametrize("parse", [openai_known, openai_unknown, gemini_known, gemini_untyped])
def test_nothing_is_kept_of_a_frame(parse: Callable[[int], object]):
    parse(0)
    tracemalloc.start()
    try:
        for number in range(FRAMES):
            parse(1_000_000 + number)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10 * FRAMES, f"{kept / FRAMES:.0f} bytes of each"
