"""What an answer of Gemini's is billed for, from the counts that come with it."""

from ...events import TokenCounts, Usage
from . import wire

_MODALITIES = {"TEXT": "text", "AUDIO": "audio", "IMAGE": "image", "VIDEO": "image"}


def usage_of(counts: wire.UsageMetadata) -> Usage:
    """The counts in our words.

    The prompt is the whole context anew for every answer, and is billed so. Thoughts, which the
    service counts beside its total, are billed as the answer's text, so they are added to both.
    """
    kinds_in = _kinds(counts.prompt_tokens_details)
    cached = _kinds(counts.cache_tokens_details)
    kinds_out = _kinds(counts.response_tokens_details)
    thoughts = counts.thoughts_token_count
    prompt = counts.prompt_token_count + counts.tool_use_prompt_token_count
    answer = counts.response_token_count + thoughts
    kinds_out["text"] += thoughts
    return Usage(
        input=TokenCounts(
            total=prompt,
            cached=counts.cached_content_token_count,
            cached_audio=cached["audio"],
            cached_image=cached["image"],
            **kinds_in,
        ),
        output=TokenCounts(total=answer, reasoning=thoughts, **kinds_out),
        total=prompt + answer,
    )


def _kinds(details: list[wire.ModalityCount]) -> dict[str, int]:
    kinds = {"text": 0, "audio": 0, "image": 0}
    for detail in details:
        if kind := _MODALITIES.get(detail.modality):
            kinds[kind] += detail.token_count
    return kinds
