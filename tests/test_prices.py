import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from realtime_facade.errors import MissingExtra
from realtime_facade.events import TokenCounts, Usage
from realtime_facade.prices import Prices, cost_of
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.openai import OpenAIProvider

MILLION = 1_000_000
TABLE = Prices(
    input_text=4,
    input_audio=32,
    input_image=5,
    cached_text=0.4,
    cached_audio=0.5,
    output_text=16,
    output_audio=64,
    audio_hour=3.6,
)


def used(into: dict[str, int] | None = None, out: dict[str, int] | None = None, **more) -> Usage:
    return Usage(input=TokenCounts(**(into or {})), output=TokenCounts(**(out or {})), **more)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (used(), 0),
        (used({"total": MILLION, "text": MILLION}), 4),
        (used({"total": 3 * MILLION, "text": MILLION, "audio": 2 * MILLION}), 68),
        (used({"total": MILLION}), 4),
        (used({"total": MILLION, "image": MILLION}), 5),
        (used({"total": MILLION, "text": MILLION, "cached": MILLION}), 0.4),
        (
            used(
                {
                    "total": 2 * MILLION,
                    "text": MILLION,
                    "audio": MILLION,
                    "cached": MILLION,
                    "cached_audio": MILLION // 2,
                }
            ),
            2 + 0.2 + 16 + 0.25,
        ),
        # Images have no price of their own when cached.
        (
            used({"total": MILLION, "image": MILLION, "cached": MILLION, "cached_image": MILLION}),
            5,
        ),
        (used(out={"total": MILLION, "text": MILLION // 2, "audio": MILLION // 2}), 40),
        (used(out={"total": MILLION, "text": MILLION, "reasoning": MILLION}), 16),
        (used(audio_s=1000), 1),
    ],
)
def test_each_kind_has_its_price(usage, cost):
    assert TABLE.cost(usage) == pytest.approx(cost)


counts = st.builds(
    lambda text, audio, image, rest: TokenCounts(
        total=text + audio + image + rest, text=text, audio=audio, image=image
    ),
    *[st.integers(0, 10**9)] * 4,
)
usages = st.builds(Usage, input=counts, output=counts, audio_s=st.floats(0, 1e6))


@given(usages, usages)
def test_two_bills_cost_what_their_sum_costs(one, other):
    assert TABLE.cost(one + other) == pytest.approx(TABLE.cost(one) + TABLE.cost(other))


def test_a_price_is_never_negative_and_its_name_is_known():
    with pytest.raises(ValidationError):
        Prices(input_text=-1)
    with pytest.raises(ValidationError):
        Prices(input_txt=1)


def test_a_list_has_prices_by_model():
    usage = used({"total": MILLION})
    assert cost_of({"m": TABLE}, "m", usage) == 4
    assert cost_of({"m": TABLE}, "other", usage) is None


@pytest.mark.parametrize("provider", [OpenAIProvider, GeminiProvider])
def test_the_default_models_have_published_prices(provider):
    into = {"total": 2 * MILLION, "text": MILLION, "audio": MILLION, "cached": MILLION // 4}
    usage = used(into, {"total": MILLION, "text": 10, "audio": MILLION - 10})
    cost = cost_of("published", provider.default_model, usage)
    assert cost is not None
    text_only = cost_of("published", provider.default_model, used({"total": 3 * MILLION}))
    assert text_only is not None
    assert 0 < text_only < cost, "audio costs more than text"


def test_a_recognizer_has_a_published_price_by_the_hour():
    hour = cost_of("published", "gpt-realtime-whisper", Usage(audio_s=3600))
    assert hour is not None
    assert 0.1 < hour < 10


def test_what_nobody_published_or_makes_no_sense_has_no_price():
    assert cost_of("published", "a-model-of-our-own", used({"total": 1})) is None
    nonsense = used({"total": 1, "audio": 5, "cached": 9, "cached_audio": 7})
    assert cost_of("published", OpenAIProvider.default_model, nonsense) is None


def test_published_prices_need_their_extra(monkeypatch):
    genuine = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "genai_prices":
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[prices\]"):
        cost_of("published", "m", Usage())
