"""Names of models and what they imply."""

import warnings

import pytest

from realtime_facade.providers.gemini.families import (
    DEFAULT_MODEL,
    FAMILIES,
    MODELS,
    RETIRED,
    UNKNOWN,
    VOICES,
    current_model,
    family_of,
)


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        ("gemini-3.8-live", "gemini-3.8-live"),
        ("models/gemini-3.8-live", "gemini-3.8-live"),
        ("gemini-3.8-live-extended-thinking", "gemini-3.8-live-extended-thinking"),
        ("gemini-3.1-flash-live-preview", "gemini-3"),
        ("gemini-2.5-flash-native-audio-latest", "gemini-2.5-"),
        ("gemini-live-2.5-flash-native-audio", "gemini-live-2.5-flash-native-audio"),
        ("gemini-live-2.5-flash", "gemini-live-2.5-flash"),
        ("something-else", ""),
    ],
)
def test_longest_prefix_wins(model, prefix):
    assert family_of(model).prefix == prefix


def test_every_known_model_has_a_family():
    assert all(family_of(model) is not UNKNOWN for model in MODELS)
    assert len({family.prefix for family in FAMILIES}) == len(FAMILIES)


def test_thirty_voices():
    assert len(set(VOICES)) == 30
    assert list(VOICES) == sorted(VOICES)


@pytest.mark.parametrize("name", RETIRED)
def test_retired_name_warns_and_gives_its_successor(name):
    with pytest.warns(DeprecationWarning, match=name):
        assert current_model(f"models/{name}") == RETIRED[name]
    assert RETIRED[name] in MODELS


def test_any_other_name_passes_untouched():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert current_model(None) == DEFAULT_MODEL
        assert current_model("models/gemini-9") == "gemini-9"
        assert current_model("tunedModels/mine") == "tunedModels/mine"
        assert current_model("Gemini 9!") == "Gemini 9!"
