import json

import pytest

from realtime_facade.config import RealtimeConfig, Transcription
from realtime_facade.errors import ConfigurationError
from realtime_facade.names import AssistantVoice, RealtimeModel, TranscriptionModel
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.providers.openai.session_config import TRANSCRIPTION_MODEL


def test_the_constants_are_the_providers_names():
    assert set(AssistantVoice) == {*OpenAIProvider.voices, *GeminiProvider.voices}
    assert set(RealtimeModel) == {*OpenAIProvider.models, *GeminiProvider.models}
    assert TRANSCRIPTION_MODEL in set(TranscriptionModel)


@pytest.mark.parametrize("kind", [AssistantVoice, RealtimeModel, TranscriptionModel])
def test_a_constant_is_called_as_its_value(kind):
    for member in kind:
        assert member.name.lower() == member.value.lower().replace("-", "_").replace(".", "_")


def test_a_constant_is_the_same_as_its_text():
    written = RealtimeConfig(
        model="gpt-realtime-2.1", voice="marin", transcription=Transcription(model="whisper-1")
    )
    named = RealtimeConfig(
        model=RealtimeModel.GPT_REALTIME_2_1,
        voice=AssistantVoice.MARIN,
        transcription=Transcription(model=TranscriptionModel.WHISPER_1),
    )
    assert named == written
    assert json.dumps([named.voice, named.model]) == '["marin", "gpt-realtime-2.1"]'
    assert f"{named.voice}" == "marin"


@pytest.mark.parametrize("voice", ["fable", "onyx", "nova", AssistantVoice.PUCK])
def test_a_voice_that_does_not_speak_there_is_refused_with_the_list(voice):
    provider = OpenAIProvider(api_key="k")
    config = RealtimeConfig(voice=voice)
    with pytest.raises(ConfigurationError, match="choose one of: alloy, ash"):
        provider.codec(config, provider.profile(config), ())


@pytest.mark.parametrize("model", [RealtimeModel.GPT_REALTIME, RealtimeModel.GPT_REALTIME_MINI])
def test_a_model_that_will_go_warns(model):
    with pytest.warns(DeprecationWarning, match="will be shut down"):
        profile = OpenAIProvider(api_key="k").profile(RealtimeConfig(model=model))
    assert profile.model == model


@pytest.mark.parametrize(
    ("retired", "successor"),
    [
        ("gpt-4o-realtime-preview-2024-12-17", RealtimeModel.GPT_REALTIME_2_1),
        ("gpt-4o-mini-realtime-preview-2024-12-17", RealtimeModel.GPT_REALTIME_2_1_MINI),
        ("gpt-4o-realtime-preview", RealtimeModel.GPT_REALTIME_2_1),
    ],
)
def test_a_retired_model_gives_its_successor(retired, successor):
    with pytest.warns(DeprecationWarning, match="is retired"):
        profile = OpenAIProvider(api_key="k").profile(RealtimeConfig(model=retired))
    assert profile.model == successor
