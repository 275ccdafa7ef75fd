"""What OpenAI bills for an answer or a transcription, from the counts that come with it."""

from ...events import TokenCounts, Usage
from . import wire


def usage_of(counts: wire.TokenUsage) -> Usage:
    """The counts in our words; thoughts are part of the answer's text there too."""
    into = counts.input_token_details or wire.InputTokenDetails()
    cached = into.cached_tokens_details or wire.InputTokenDetails()
    out = counts.output_token_details or wire.OutputTokenDetails()
    return Usage(
        input=TokenCounts(
            total=counts.input_tokens,
            text=into.text_tokens,
            audio=into.audio_tokens,
            image=into.image_tokens,
            cached=into.cached_tokens,
            cached_audio=cached.audio_tokens,
            cached_image=cached.image_tokens,
        ),
        output=TokenCounts(
            total=counts.output_tokens,
            text=out.text_tokens,
            audio=out.audio_tokens,
            reasoning=out.reasoning_tokens,
        ),
        total=counts.total_tokens,
        audio_s=counts.seconds,
    )
