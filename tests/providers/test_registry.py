import pytest

from realtime_facade import ConfigurationError, OpenAIProvider, RealtimeVoice
from realtime_facade.providers import registry


class Elsewhere(OpenAIProvider):
    name = "elsewhere"
    env_keys = ("REALTIME_TEST_ELSEWHERE_KEY",)


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {"elsewhere": Elsewhere})


def test_built_in_providers_come_first(elsewhere):
    built_in = ["openai", "gemini", "azure", "local"]
    assert RealtimeVoice.available_providers() == [*built_in, "elsewhere"]


@pytest.mark.parametrize(
    ("keys", "configured", "chosen"),
    [
        (["OPENAI_API_KEY"], ["openai"], "openai"),
        (["GEMINI_API_KEY"], ["gemini"], "gemini"),
        (["GOOGLE_API_KEY"], ["gemini"], "gemini"),
        (["GEMINI_API_KEY", "OPENAI_API_KEY"], ["openai", "gemini"], "openai"),
        (["REALTIME_TEST_ELSEWHERE_KEY"], ["elsewhere"], "elsewhere"),
        (
            ["REALTIME_TEST_ELSEWHERE_KEY", "GOOGLE_API_KEY"],
            ["gemini", "elsewhere"],
            "gemini",
        ),
    ],
)
def test_the_environment_chooses(monkeypatch, elsewhere, keys, configured, chosen):
    for key in keys:
        monkeypatch.setenv(key, "secret")
    assert RealtimeVoice.configured_providers() == configured
    assert RealtimeVoice().provider_name == chosen


def test_an_empty_key_is_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert RealtimeVoice.configured_providers() == []


def test_the_variable_overrules_keys_and_an_argument_overrules_the_variable(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("REALTIME_VOICE_PROVIDER", "gemini")
    assert RealtimeVoice().provider_name == "gemini"
    assert RealtimeVoice("local").provider_name == "local"


def test_an_unknown_name_lists_the_known_ones(monkeypatch):
    with pytest.raises(ConfigurationError, match="unknown provider 'azzure'") as caught:
        RealtimeVoice("azzure")
    assert "openai, gemini, azure, local" in str(caught.value)
    monkeypatch.setenv("REALTIME_VOICE_PROVIDER", "azzure")
    with pytest.raises(ConfigurationError, match="unknown provider 'azzure'"):
        RealtimeVoice()


def test_nothing_configured_says_which_variables_there_are():
    with pytest.raises(ConfigurationError) as caught:
        RealtimeVoice()
    assert caught.value.cause == "authentication"
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "provider='local'"):
        assert variable in str(caught.value)


class Point:
    """An installed package's entry point."""

    name = "installed"

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> object:
        return self._loaded


def install(monkeypatch, loaded: object) -> None:
    point = Point(loaded)

    def entry_points(group: str, name: str | None = None) -> list[Point]:
        assert group == "realtime_facade.providers"
        return [point] if name in (None, "installed") else []

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_an_installed_package_adds_a_provider(monkeypatch):
    install(monkeypatch, Elsewhere)
    monkeypatch.setenv("REALTIME_TEST_ELSEWHERE_KEY", "secret")
    assert "installed" in RealtimeVoice.available_providers()
    assert isinstance(RealtimeVoice("installed").provider, Elsewhere)


def test_an_entry_point_that_is_no_provider_is_refused(monkeypatch):
    install(monkeypatch, print)
    with pytest.raises(ConfigurationError, match="registered as a provider but is"):
        RealtimeVoice("installed")


def test_models_and_voices_can_be_listed():
    assert "gpt-realtime-2.1" in RealtimeVoice.list_models("openai")
    assert {"alloy", "marin"} <= set(RealtimeVoice.list_voices("openai"))
    assert {"Puck", "Kore"} <= set(RealtimeVoice.list_voices("gemini"))
    assert RealtimeVoice.get_default_model("gemini") in RealtimeVoice.list_models("gemini")
