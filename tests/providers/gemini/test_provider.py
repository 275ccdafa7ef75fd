"""The provider: profile, address, key and voices."""

import inspect

import pytest

from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.errors import ConfigurationError
from realtime_facade.providers.base import Provider
from realtime_facade.providers.gemini import GeminiProvider

PATH = "/ws/google.ai.generativelanguage.{}.GenerativeService.BidiGenerateContent"


def endpoint(**settings):
    provider = GeminiProvider(**{"api_key": "secret-key", **settings})
    config = RealtimeConfig()
    return provider.endpoint(config, provider.profile(config))


def test_it_is_a_provider():
    assert issubclass(GeminiProvider, Provider)
    assert not inspect.isabstract(GeminiProvider)
    assert GeminiProvider.default_model in GeminiProvider.list_models()
    assert "Kore" in GeminiProvider.list_voices()


def test_key_goes_into_a_header_and_nowhere_else():
    address = endpoint()
    assert address.url == "wss://generativelanguage.googleapis.com" + PATH.format("v1beta")
    assert dict(address.headers) == {"x-goog-api-key": "secret-key"}
    assert "secret" not in repr(address)


def test_token_uses_the_constrained_method():
    address = endpoint(api_key="auth_tokens/abc", api_version="v1")
    assert address.url.endswith(PATH.format("v1alpha") + "Constrained")
    assert address.headers["Authorization"] == "Token auth_tokens/abc"


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        ("http://127.0.0.1:9", "ws://127.0.0.1:9/ws/google"),
        ("ws://127.0.0.1:9/", "ws://127.0.0.1:9/ws/google"),
        ("HTTPS://host/pre/fix/", "wss://host/pre/fix/ws/google"),
        ("wss://[::1]:9", "wss://[::1]:9/ws/google"),
    ],
)
def test_base_url(base_url, start):
    assert endpoint(base_url=base_url).url.startswith(start)


@pytest.mark.parametrize(
    "base_url",
    ["localhost:9", "ftp://host", "https://", "https://user:pw@host", "https://host?key=pw", "http://[x"],
)  # fmt: skip
def test_bad_base_url_is_refused_without_being_quoted(base_url):
    with pytest.raises(ConfigurationError) as caught:
        endpoint(base_url=base_url)
    assert "pw" not in str(caught.value)
    assert caught.value.advice


def test_base_url_from_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://localhost:1")
    assert endpoint().url.startswith("ws://localhost:1/ws/")


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_API_KEY"])
def test_key_from_the_environment(monkeypatch, name):
    assert not GeminiProvider.is_configured()
    monkeypatch.setenv(name, "from-env\n")
    assert GeminiProvider.is_configured()
    assert endpoint(api_key=None).headers["x-goog-api-key"] == "from-env"


def test_missing_key_is_refused_with_advice():
    with pytest.raises(ConfigurationError, match="no key") as caught:
        endpoint(api_key=None)
    assert "GEMINI_API_KEY" in caught.value.advice


@pytest.mark.parametrize("key", ["se\ncret", "se\u2019cret", "se\r\nX-Evil: 1"])
def test_key_with_impossible_characters_is_refused_without_being_quoted(key):
    with pytest.raises(ConfigurationError) as caught:
        endpoint(api_key=key)
    assert "cret" not in str(caught.value)


def test_profile_of_the_default_model():
    profile = GeminiProvider().profile(RealtimeConfig())
    assert (profile.provider, profile.model) == ("gemini", "gemini-3.8-live")
    assert (profile.input_rate, profile.output_rate) == (16_000, 24_000)
    assert profile.ping_interval_s is None
    assert profile.emits_speech_events
    assert profile.updatable == {"instructions", "tools", "tool_choice"}
    assert profile.supports_resumption
    assert not profile.supports_overlap
    absent = ("truncation", "cancel", "speed", "semantic_vad", "text_output")
    assert not any(getattr(profile, f"supports_{name}") for name in absent)


def test_profile_follows_the_family_and_the_turns():
    provider = GeminiProvider()
    older = provider.profile(RealtimeConfig(model="gemini-2.5-flash-native-audio-latest"))
    assert not older.emits_speech_events
    assert not older.updatable
    assert older.session_limit_s == 600
    assert not provider.profile(RealtimeConfig(vad_mode=VADMode.MANUAL)).emits_speech_events


def test_retired_model_is_replaced_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"gemini-2\.0-flash-exp"):
        profile = GeminiProvider().profile(RealtimeConfig(model="gemini-2.0-flash-exp"))
    assert profile.model == "gemini-3.8-live"


def codec(**settings):
    provider = GeminiProvider(base_url="http://localhost:1")
    config = RealtimeConfig(**settings)
    return provider.codec(config, provider.profile(config), ())


def test_voices():
    assert codec(voice="Puck").open().frames
    assert codec(voice="voice_123").open().frames
    with pytest.raises(ConfigurationError, match="alloy") as caught:
        codec(voice="alloy")
    assert "Zubenelgenubi" in caught.value.advice


def test_impossible_modality_is_refused_before_dialling():
    with pytest.raises(ConfigurationError, match="audio only"):
        codec(modalities=("text",))


def test_options_that_are_not_json_are_refused_before_dialling():
    with pytest.raises(ConfigurationError, match="not JSON"):
        codec(provider_options={"labels": {"a": object()}})


def test_other_key_or_address_keeps_the_version():
    provider = GeminiProvider(api_key="a", base_url="http://one", api_version="v1")
    other = provider.with_key("b", None)
    assert isinstance(other, GeminiProvider)
    assert (other.api_key, other.base_url, other.api_version) == ("b", "http://one", "v1")


def test_close_and_refusal_are_explained():
    provider = GeminiProvider()
    assert provider.explain_close(1006, "").retryable
    assert provider.explain_refusal(401, b"").cause == "authentication"
