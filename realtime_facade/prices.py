"""What tokens cost: a table of one's own, or the published prices that a library keeps."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .errors import MissingExtra
from .events import TokenCounts, Usage

Price = Annotated[float, Field(ge=0)]


class Prices(BaseModel):
    """What a model costs, per million tokens, in any currency. Cached tokens cost as others do
    unless they have a price of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_text: Price = 0.0
    input_audio: Price = 0.0
    input_image: Price = 0.0
    cached_text: Price | None = None
    cached_audio: Price | None = None
    cached_image: Price | None = None
    output_text: Price = 0.0
    output_audio: Price = 0.0
    audio_hour: Price = 0.0
    """Of a recognizer that is billed by time: per hour."""

    def cost(self, usage: Usage) -> float:
        """What `usage` costs. Tokens whose kind the provider does not tell count as text."""
        into, out = usage.input, usage.output
        fresh = _kinds(into)
        cached_text = max(into.cached - into.cached_audio - into.cached_image, 0)
        per_million = 0.0
        for count, cached, full, reduced in (
            (fresh["text"], cached_text, self.input_text, self.cached_text),
            (fresh["audio"], into.cached_audio, self.input_audio, self.cached_audio),
            (fresh["image"], into.cached_image, self.input_image, self.cached_image),
        ):
            part = min(cached, count)
            per_million += (count - part) * full + part * (full if reduced is None else reduced)
        said = _kinds(out)
        per_million += said["text"] * self.output_text + said["audio"] * self.output_audio
        return per_million / 1_000_000 + usage.audio_s / 3_600 * self.audio_hour


PriceList = Mapping[str, Prices] | Literal["published"]
"""Prices by the name of the model, or "published": in US dollars, as the library `genai-prices`
(extra `prices`) knew them when the installed version was released."""


def cost_of(prices: PriceList, model: str, usage: Usage) -> float | None:
    """What `usage` of `model` costs; None if its price is not known.

    Raises:
        MissingExtra: If published prices are wanted and the extra `prices` is not installed.
    """
    if prices == "published":
        return _published_cost(model, usage)
    known = prices.get(model)
    return None if known is None else known.cost(usage)


def _published_cost(model: str, usage: Usage) -> float | None:
    try:
        import genai_prices
    except ImportError as error:
        raise MissingExtra("published prices", "prices", "genai-prices") from error

    into, out = usage.input, usage.output
    counts = genai_prices.Usage(
        input_tokens=into.total,
        input_audio_tokens=into.audio,
        input_image_tokens=into.image,
        cache_read_tokens=into.cached,
        cache_audio_read_tokens=into.cached_audio,
        cache_image_read_tokens=into.cached_image,
        output_tokens=out.total,
        output_audio_tokens=out.audio,
        audio_seconds=usage.audio_s,
    )
    try:
        return float(genai_prices.calc_price(counts, model).total_price)
    except (LookupError, ValueError):
        # Not in the list; or counts that contradict each other, which have no price either.
        return None


def _kinds(counts: TokenCounts) -> dict[str, int]:
    rest = max(counts.total - counts.text - counts.audio - counts.image, 0)
    return {"text": counts.text + rest, "audio": counts.audio, "image": counts.image}
