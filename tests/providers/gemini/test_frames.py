"""Every frame that the codec can send, judged by the SDK's types, which forbid extra keys."""

import base64
import itertools
import json

import pytest

from realtime_facade.commands import (
    AppendAudio,
    CommitAudio,
    EndAudio,
    RequestResponse,
    SendText,
    SendToolResult,
    UpdateSession,
)
from realtime_facade.config import (
    RealtimeConfig,
    SemanticEagerness,
    SemanticVAD,
    Transcription,
    VADMode,
)
from realtime_facade.conversation import SeedMessage, ToolRound
from realtime_facade.providers.base import Past
from realtime_facade.providers.gemini import GeminiProvider, wire
from realtime_facade.tools.definition import ToolDefinition

types = pytest.importorskip("google.genai.types")

TOOL = ToolDefinition(
    name="weather",
    description="Weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
MODELS = [*GeminiProvider.models, "gemini-live-2.5-flash", "some-future-model"]


def judge(frame):
    """Raises where the SDK would not know a key or a value."""
    message = json.loads(frame)
    assert len(message) == 1
    if "setup" in message:
        # The SDK writes this part from its connection settings; its setup type does not list it.
        hearing = message["setup"].pop("realtimeInputConfig", None)
        if hearing is not None:
            types.RealtimeInputConfig.model_validate(hearing)
    return types.LiveClientMessage.model_validate(message)


def started(model=None, **settings):
    provider = GeminiProvider(api_key="key")
    config = RealtimeConfig(model=model, **settings)
    codec = provider.codec(config, provider.profile(config), (TOOL,))
    codec.receive(b'{"setupComplete": {}}')
    return codec


def test_the_judge_forbids_extra_keys():
    with pytest.raises(ValueError, match="Extra inputs"):
        judge('{"setup": {"modle": "m"}}')
    with pytest.raises(ValueError, match="Extra inputs"):
        judge('{"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "", "x": 1}}}')


@pytest.mark.parametrize("model", MODELS)
def test_setup(model):
    texts = ("text",) if "robotics" in model else ("audio",)
    rich = {
        "voice": "Kore",
        "instructions": "Be brief.",
        "temperature": 0.5,
        "max_tokens": 100,
        "transcription": Transcription(language="en"),
        "interrupt_response": False,
    }
    turns = [
        {},
        {"vad_mode": VADMode.MANUAL},
        {"vad_prefix_padding_ms": 20, "vad_silence_duration_ms": 300, "vad_threshold": 0.5},
        *({"turn_detection": SemanticVAD(eagerness=eagerness)} for eagerness in SemanticEagerness),
    ]
    for settings, detection in itertools.product(({}, rich), turns):
        codec = started(model, modalities=texts, **settings, **detection)
        setup = judge(codec.open().frames[0]).setup
        assert setup.model == f"models/{model}"
        assert setup.tools[0].function_declarations[0].name == "weather"


def test_setup_that_resumes():
    provider = GeminiProvider(api_key="key")
    config = RealtimeConfig()
    codec = provider.codec(config, provider.profile(config), (), Past(handle="h1"))
    assert judge(codec.open().frames[0]).setup.session_resumption.handle == "h1"


@pytest.mark.parametrize("handle", [None, "h1"])
@pytest.mark.parametrize("model", [model for model in MODELS if "robotics" not in model])
def test_past(model, handle):
    provider, config = GeminiProvider(api_key="key"), RealtimeConfig(model=model)
    items = (
        SeedMessage.user("Hi"),
        SeedMessage(role="system", text="Be brief"),
        ToolRound(call_id="1", function_name="weather", output="sunny"),
        ToolRound(call_id="2", function_name="weather"),
        SeedMessage.assistant("Hello"),
    )
    codec = provider.codec(config, provider.profile(config), (), Past(items=items, handle=handle))
    frames = [*codec.open().frames, *codec.receive(b'{"setupComplete": {}}').frames]
    frames += codec.send(RequestResponse()).frames
    frames += codec.send(SendToolResult(call_id="2", function_name="weather", output="rain")).frames
    assert len(frames) == 4
    for frame in frames:
        judge(frame)


CALL = b'{"toolCall": {"functionCalls": [{"id": "1", "name": "weather"}]}}'


@pytest.mark.parametrize("mode", [VADMode.SERVER, VADMode.MANUAL])
@pytest.mark.parametrize("model", [model for model in MODELS if "robotics" not in model])
def test_commands(model, mode):
    codec = started(model, vad_mode=mode)
    frames = []
    for command in (
        AppendAudio(data=bytes(640)),
        CommitAudio(),
        EndAudio(),
        SendText(text="Hi"),
        SendText(text="Hi", respond=False),
        SendText(text="Hi", role="assistant", respond=False),
        RequestResponse(),
        RequestResponse(instructions="Say hi"),
    ):
        frames += codec.send(command).frames
    for output, is_error, respond in (
        ("x", False, True),
        ('{"a": 1}', False, False),
        ("x", True, True),
    ):
        codec.receive(CALL)
        frames += codec.send(
            SendToolResult(
                call_id="1",
                function_name="weather",
                output=output,
                is_error=is_error,
                respond=respond,
            )
        ).frames
    codec.send(RequestResponse())
    for message in (
        b'{"serverContent": {"turnComplete": true}}',
        # Models whose calls do not block have yet to answer the results.
        b'{"serverContent": {"outputTranscription": {"text": "Well."}}}',
        b'{"serverContent": {"turnComplete": true}}',
    ):
        frames += codec.receive(message).frames
    # Manual turns begin with a frame of their own, but have none for the end of audio.
    assert len(frames) == 12
    for frame in frames:
        judge(frame)


def test_update():
    codec = started("gemini-3.8-live")
    config = RealtimeConfig(instructions="New")
    changed = frozenset({"instructions", "tools"})
    (frame,) = codec.send(UpdateSession(config=config, changed=changed, tools=(TOOL,))).frames
    update = judge(frame).context_update
    assert update.system_instruction.parts[0].text == "New"
    assert update.tools.tools[0].function_declarations[0].name == "weather"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 640, 3_200])
def test_audio_frame_carries_the_bytes(size):
    pcm = bytes(index % 251 for index in range(size))
    blob = judge(wire.audio(pcm, 16_000)).realtime_input.audio
    assert (blob.data, blob.mime_type) == (pcm, "audio/pcm;rate=16000")
    assert (
        base64.b64decode(json.loads(wire.audio(pcm, 8_000))["realtimeInput"]["audio"]["data"])
        == pcm
    )
