"""Names, addresses and keys."""

import warnings

import pytest

from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.providers.openai.codec import OpenAICodec

KEY = "sk-test-0123456789"


def profile(model=None, **options):
    return OpenAIProvider(api_key=KEY, **options).profile(RealtimeConfig(model=model))


def endpoint(base_url=None, key=KEY, model=None):
    provider = OpenAIProvider(api_key=key, base_url=base_url)
    config = RealtimeConfig(model=model)
    return provider.endpoint(config, provider.profile(config))


def test_profile_of_the_default_model():
    found = profile()
    assert (found.provider, found.model) == ("openai", "gpt-realtime-2.1")
    assert (found.input_rate, found.output_rate, found.default_voice) == (24_000, 24_000, "marin")
    assert found.supports_truncation
    assert found.supports_cancel
    assert found.supports_semantic_vad
    assert found.supports_speed
    assert not found.supports_temperature
    assert found.session_limit_s == 3600
    assert "marin" in found.voices


def test_current_models_come_without_a_word():
    assert OpenAIProvider.list_models()[0] == OpenAIProvider.default_model
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in ("gpt-realtime-2", "gpt-realtime-1.5", "gpt-realtime-9", "ft:mine"):
            assert profile(model).model == model


@pytest.mark.parametrize(
    ("model", "successor"),
    [
        ("gpt-4o-realtime-preview", "gpt-realtime-2.1"),
        ("gpt-4o-realtime-preview-2024-12-17", "gpt-realtime-2.1"),
        ("gpt-4o-mini-realtime-preview-2024-12-17", "gpt-realtime-2.1-mini"),
    ],
)
def test_retired_model_is_replaced(model, successor):
    with pytest.warns(DeprecationWarning, match=f"{model} is retired"):
        assert profile(model).model == successor


def test_model_with_an_announced_end_still_answers():
    with pytest.warns(DeprecationWarning, match="2027-01-20"):
        found = profile("gpt-realtime")
    assert (found.model, found.default_voice) == ("gpt-realtime", "alloy")


def test_codec_is_for_one_connection():
    provider, config = OpenAIProvider(api_key=KEY), RealtimeConfig()
    first, second = (provider.codec(config, provider.profile(config), ()) for _ in range(2))
    assert isinstance(first, OpenAICodec)
    assert first is not second


@pytest.mark.parametrize("voice", ["fable", "onyx", "nova", "Puck"])
def test_voice_of_another_product_is_refused_with_those_there_are(voice):
    provider, config = OpenAIProvider(api_key=KEY), RealtimeConfig(voice=voice)
    with pytest.raises(ConfigurationError, match="alloy, ash, ballad, cedar"):
        provider.codec(config, provider.profile(config), ())


@pytest.mark.parametrize(
    ("voice", "base_url"), [("cedar", None), ("voice_abc", None), ("Puck", "http://h/v1")]
)
def test_voices_that_pass(voice, base_url):
    provider = OpenAIProvider(api_key=KEY, base_url=base_url)
    config = RealtimeConfig(voice=voice)
    provider.codec(config, provider.profile(config), ())


def test_more_tokens_than_an_answer_may_have():
    provider, config = OpenAIProvider(api_key=KEY), RealtimeConfig(max_tokens=5_000)
    with pytest.raises(ConfigurationError, match="5000"):
        provider.codec(config, provider.profile(config), ())
    other = OpenAIProvider(api_key=KEY, base_url="http://127.0.0.1/v1")
    other.codec(config, other.profile(config), ())


def test_compatible_server_has_names_of_its_own():
    found = profile("gpt-4o-realtime-preview", base_url="https://voice.example/v1")
    assert (found.model, found.voices) == ("gpt-4o-realtime-preview", ())


def test_endpoint():
    found = endpoint()
    assert found.url == "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
    assert dict(found.headers) == {"Authorization": f"Bearer {KEY}"}
    assert KEY not in repr(found) + found.url


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:80/v1", "ws://127.0.0.1:80/v1/realtime?model=m"),
        ("https://h/v1/", "wss://h/v1/realtime?model=m"),
        ("ws://h:1", "ws://h:1/realtime?model=m"),
        ("wss://h/v1/realtime", "wss://h/v1/realtime?model=m"),
        ("https://h/v1?zone=eu&flag=&model=x", "wss://h/v1/realtime?zone=eu&flag=&model=m"),
        ("https://[::1]:9/v1", "wss://[::1]:9/v1/realtime?model=m"),
        ("https://eu.api.openai.com/v1", "wss://eu.api.openai.com/v1/realtime?model=m"),
    ],
)
def test_base_url(base_url, url):
    assert endpoint(base_url, model="m").url == url


def test_model_is_quoted_in_the_address():
    assert endpoint(model="a b&c=d").url.endswith("?model=a+b%26c%3Dd")


@pytest.mark.parametrize(
    "base_url",
    ["h/v1", "ftp://h", "https://", "https://h:port", "https://h:0", "https://[::1", "//h", " "],
)
def test_base_url_that_cannot_be_dialled(base_url):
    with pytest.raises(ConfigurationError, match="base URL"):
        endpoint(base_url)


def test_credentials_in_the_base_url_are_refused_and_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        endpoint("https://me:hunter2@h/v1")
    assert "hunter2" not in str(caught.value)


def test_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_1")
    assert OpenAIProvider.is_configured()
    found = endpoint(key=None, model="m")
    assert found.url == "ws://127.0.0.1:9/v1/realtime?model=m"
    assert dict(found.headers) == {
        "Authorization": f"Bearer {KEY}",
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj_1",
    }


def test_key_is_needed_for_openai_but_not_for_a_compatible_server():
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        endpoint(key=None)
    assert caught.value.cause == "authentication"
    assert dict(endpoint("http://127.0.0.1/v1", key=None).headers) == {}


@pytest.mark.parametrize("key", ["sk test", "sk-\u00e4", "sk-a\r\nX-Header: 1", "sk-\x00"])
def test_key_that_no_header_can_carry(key):
    with pytest.raises(ConfigurationError) as caught:
        endpoint(key=key)
    assert key not in str(caught.value)


def test_a_subclass_is_another_provider():
    class Mine(OpenAIProvider):
        name = "mine"
        env_keys = ("MINE_KEY",)

    provider = Mine(api_key="k", base_url="wss://voice.example/v1")
    config = RealtimeConfig()
    assert provider.profile(config).provider == "mine"
    assert provider.explain_close(1006, "").provider == "mine"
    assert provider.explain_refusal(500, b"").provider == "mine"
    with pytest.raises(ConfigurationError) as caught:
        Mine(base_url="nowhere").profile(config)
    assert caught.value.provider == "mine"
