"""The small readers of the wire's own notations."""

import pytest

from realtime_facade.providers.gemini.wire import parse, pcm_rate, seconds


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [
        ("audio/pcm", 24_000),
        ("audio/pcm;rate=24000", 24_000),
        ("audio/pcm; rate=16000", 16_000),
        ("audio/pcm;rate=48000;channels=1", 48_000),
        ("Audio/L16;Rate=16000", 16_000),
        ("audio/pcmu", None),
        ("audio/mpeg", None),
        ("image/png", None),
        ("", None),
    ],
)
def test_rate(mime_type, rate):
    assert pcm_rate(mime_type) == rate


def test_impossible_rate_is_no_rate():
    with pytest.raises(ValueError, match="sample rate"):
        pcm_rate("audio/pcm;rate=10")


@pytest.mark.parametrize(("text", "value"), [("1.880s", 1.88), ("5s", 5.0), ("0s", 0.0)])
def test_duration(text, value):
    assert seconds(text) == value
    assert parse(f'{{"goAway": {{"timeLeft": "{text}"}}}}').go_away.time_left == text
