"""What is refused: on the doorstep, in the setup, and later; always in the service's words."""

import json
from dataclasses import replace

import pytest
from websockets.exceptions import InvalidStatus

INVALID = (1007, "Request contains an invalid argument.")
ALPHA = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent"
KEY_NOT_VALID = (1007, "API key not valid. Please pass a valid API key.")


def unknown(name, place):
    text = f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
    return (1007, text[:123])


@pytest.mark.parametrize(
    "path",
    [
        "/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent",
        "//ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "/pre/fix//ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent",
        "//ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
    ],
)
async def test_any_prefix_and_version_will_do(rig, path):
    client = await (await rig.start()).dial(path)
    await client.send(setup=rig.setup("3.8"))
    await client.until("setupComplete")


@pytest.mark.parametrize("path", ["/", "/v1/realtime", "/ws/BidiGenerateContents", "//ws/x"])
async def test_other_paths_do_not_exist(rig, path):
    await rig.start()
    with pytest.raises(InvalidStatus) as refused:
        await rig.dial(path)
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"x-goog-api-key": "k"}),
        ("?key=k", {}),
        ("?access_token=k", {}),
        ("", {"Authorization": "Token k"}),
        ("", {"Authorization": "Bearer k"}),
    ],
)
async def test_a_key_may_come_in_many_ways(rig, query, headers):
    client = await (await rig.start()).dial(rig.method + query, headers=headers)
    await client.send(setup=rig.setup("3.8"))
    await client.until("setupComplete")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("", {"x-goog-api-key": "bad-key"}, KEY_NOT_VALID),
        ("", {"x-goog-api-key": "auth_tokens/t"}, KEY_NOT_VALID),
        ("", {}, (1008, "Method doesn't allow unregistered callers")),
        ("", {"Authorization": "Basic k"}, (1008, "Method doesn't allow unregistered callers")),
        ("Constrained", {"x-goog-api-key": "k"}, (1008, "Request had invalid authentication")),
        ("Constrained", {"Authorization": "Token auth_tokens/t"}, None),
    ],
)
async def test_keys_are_judged_after_the_setup(rig, method, headers, expected):
    client = await (await rig.start()).dial(rig.method + method, headers=headers)
    assert await client.quiet(0.02) == []
    await client.send(setup=rig.setup("3.8"))
    if expected is None:
        await client.until("setupComplete")
        return
    code, reason = await client.closing()
    assert (code, reason[: len(expected[1])]) == expected
    assert len(reason) <= 123


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("not json", (1007, "Invalid JSON payload received. Unexpected token.")),
        ("[1]", (1007, "Invalid JSON payload received. Expected an object.")),
        ("{}", INVALID),
        ('{"clientContent": {}}', unknown("clientContent", "")),
        ('{"setup": 5}', (1007, "Invalid value at 'setup' (TYPE_OBJECT), 5")),
        ('{"setup": {}}', INVALID),
        ('{"setup": {"model": 5}}', (1007, "Invalid value at 'setup.model' (TYPE_STRING), 5")),
        ('{"setup": {"model": "gemini-3.8-live"}}', INVALID),
    ],
)
async def test_the_first_message_is_a_setup(rig, frame, expected):
    client = await (await rig.start()).dial()
    await client.connection.send(frame)
    assert await client.closing() == expected
    assert client.seen == []


async def test_unknown_and_retired_models_do_not_exist(rig):
    await rig.start()
    for model in ("models/gemini-9", "models/gemini-2.0-flash-live-001"):
        client = await rig.dial()
        await client.send(setup={"model": model})
        code, reason = await client.closing()
        assert code == 1008
        assert reason.startswith(f"{model} is not found for API version v1beta")


THINK = {"thinkingLevel": "LOW"}
NO_LEVEL = (1007, "Thinking level is not supported for this model")
NO_TEXT = "The requested combination of response modalities (TEXT) is not supported by the model"
BAD_BASE64 = "Invalid value at 'realtime_input.audio.data' (TYPE_BYTES), Base64 decoding failed"
TEXT = {"responseModalities": ["TEXT"]}


def voice(name):
    return {"speechConfig": {"voice_config": {"prebuiltVoiceConfig": {"voice_name": name}}}}


@pytest.mark.parametrize(
    ("family", "generation", "expected"),
    [
        ("2.5-native", TEXT, (1007, "Cannot extract voices from a non-audio request.")),
        ("3.1", TEXT, (1011, "Internal error encountered.")),
        ("3.8", TEXT, (1007, NO_TEXT)),
        ("3.8", {"responseModalities": ["AUDIO", "TEXT"]}, INVALID),
        ("2.5-native", {"thinkingConfig": THINK}, NO_LEVEL),
        ("2.5-native", {"thinkingConfig": {"thinkingBudget": 100}}, None),
        ("3.1", {"thinkingConfig": THINK}, None),
        ("3.8", {"thinkingConfig": THINK}, NO_LEVEL),
        ("3.8", {"thinkingConfig": {"thinkingBudget": 0}}, INVALID),
        ("3.8-extended-thinking", {"thinkingConfig": THINK}, None),
        (
            "3.8-extended-thinking",
            {"thinkingConfig": {}},
            (1007, "Thinking level must be specified for this model"),
        ),
        (
            "3.8-extended-thinking",
            {"thinkingConfig": {"thinking_level": "MINIMAL"}},
            (1007, "Thinking level MINIMAL is not supported for this model"),
        ),
        (
            "3.8",
            voice("alloy"),
            INVALID,
        ),
        (
            "3.8",
            voice("Kore"),
            None,
        ),
        ("3.8", {"temperatur": 1}, unknown("temperatur", " at 'setup.generation_config'")),
        (
            "2.5-native",
            {"enableAffectiveDialog": True},
            unknown("enableAffectiveDialog", " at 'setup.generation_config'"),
        ),
    ],
)
async def test_generation_settings_by_family(rig, family, generation, expected):
    client = await (await rig.start()).dial()
    await client.send(setup=rig.setup(family, generationConfig=generation))
    if expected is None:
        await client.until("setupComplete")
    else:
        assert await client.closing() == expected


@pytest.mark.parametrize(
    ("family", "more", "expected"),
    [
        ("3.8", {"foo_bar": 1}, unknown("foo_bar", " at 'setup'")),
        ("3.8", {"proactivity": {}}, unknown("proactivity", " at 'setup'")),
        ("3.8", {"sessionResumption": {"transparent": True}}, INVALID),
        ("3.8", {"tools": [{"codeExecution": {}}]},
         (1007, "Code Execution tool is not supported for this model")),
        ("3.8", {"tools": [{"google_search": {}}]}, None),
        ("3.8", {"tools": [{"functions": []}]}, unknown("functions", " at 'setup.tools[0]'")),
        ("3.8", {"tools": [{"functionDeclarations": [{"name": "no spaces"}]}]}, INVALID),
        ("3.8", {"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]},
         (1007, "Duplicate function declaration found: f")),
        ("3.8-extended-thinking",
         {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}]},
         (1007, "BLOCKING function calls are not supported for this model")),
        ("3.8", {"realtimeInputConfig": {
            "automaticActivityDetection": {"disabled": True, "prefixPaddingMs": 20}}}, INVALID),
        ("3.8", {"contextWindowCompression": {"slidingWindow": {}}}, None),
    ],
)  # fmt: skip
async def test_session_settings(rig, family, more, expected):
    client = await (await rig.start()).dial()
    await client.send(setup=rig.setup(family, **more))
    if expected is None:
        await client.until("setupComplete")
    else:
        assert await client.closing() == expected


@pytest.mark.parametrize(
    ("family", "more", "accepted"),
    [
        ("2.5-native", {"generationConfig": {"enableAffectiveDialog": True}}, True),
        ("3.8", {"generationConfig": {"enableAffectiveDialog": True}}, False),
        ("2.5-native", {"proactivity": {"proactiveAudio": True}}, True),
        ("3.1", {"proactivity": {"proactiveAudio": True}}, False),
        ("3.8", {"proactivity": {"proactiveAudio": True}}, True),
        ("3.8", {"proactivity": {"proactiveAudio": False}}, False),
    ],
)
async def test_settings_of_v1alpha(rig, family, more, accepted):
    client = await (await rig.start()).dial(ALPHA)
    await client.send(setup=rig.setup(family, **more))
    if accepted:
        await client.until("setupComplete")
    else:
        assert await client.closing() == INVALID


def audio(data="AAAA", mime="audio/pcm"):
    return {"realtimeInput": {"audio": {"data": data, "mimeType": mime}}}


def content(**turn):
    return {"clientContent": {"turns": [turn], "turnComplete": True}}


@pytest.mark.parametrize(
    ("family", "message", "expected"),
    [
        ("3.8", {"setup": {"model": "models/gemini-3.8-live"}}, INVALID),
        ("3.8", {"nonsense": {}}, unknown("nonsense", "")),
        ("3.8", {"realtimeInput": {"sound": {}}}, unknown("sound", " at 'realtime_input'")),
        ("3.8", audio("!!!!"),
         (1007, BAD_BASE64)),
        ("3.8", audio(mime="audio/mp3"), INVALID),
        ("3.8", audio(mime="audio/pcm;rate=1"), INVALID),
        ("3.8", {"realtimeInput": {"activityStart": {}}}, INVALID),
        ("3.8", {"realtimeInput": {"video": {"data": "", "mimeType": "audio/pcm"}}}, INVALID),
        ("3.1", {"realtimeInput": {"mediaChunks": []}}, INVALID),
        ("3.8", content(parts=[{"text": "hi"}]), INVALID),
        ("3.8", content(role="system", parts=[{"text": "hi"}]), INVALID),
        ("2.5-native", content(role="model", parts=[{"functionCall": {"name": "f"}}]), INVALID),
        ("3.8",
         content(role="user", parts=[{"inlineData": {"mimeType": "audio/pcm", "data": ""}}]),
         (1007, "CONTENT_TYPE_AUDIO not supported for this model configuration")),
        ("3.8", {"toolResponse": {"functionResponses": [{"name": "f", "response": {}}]}}, INVALID),
        ("3.8-extended-thinking",
         {"toolResponse": {"functionResponses": [{"id": "1", "scheduling": "SILENT"}]}},
         (1007, "Function response scheduling is not supported for this model")),
        ("3.1", {"contextUpdate": {"systemInstruction": {"parts": []}}}, INVALID),
    ],
)  # fmt: skip
async def test_wrong_requests_end_the_session(rig, family, message, expected):
    client = await (await rig.start()).connect(family)
    await client.send(**message)
    assert await client.closing() == expected


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("2.5-native", {"realtimeInput": {"mediaChunks": [{"data": "", "mimeType": "audio/pcm"}]}}),
        ("3.8", {"realtime_input": {"video": {"data": "_-8=", "mime_type": "image/jpeg"}}}),
        ("3.8", {"toolResponse": {"functionResponses": [{"id": "gone", "response": {}}]}}),
        ("3.8", {}),
    ],
)
async def test_harmless_requests_do_not(rig, family, message):
    client = await (await rig.start()).connect(family)
    await client.send(**message)
    await client.send(realtimeInput={"text": "hi"})
    await client.until("turnComplete")


async def test_a_broken_part_is_the_service_s_fault_and_is_logged(rig, caplog):
    class Mind:
        async def answer(self, conversation, tools, instructions):
            raise ValueError("no idea")

    await rig.start()
    rig.simulator._parts = replace(rig.simulator._scenario.parts(), mind=Mind)
    client = await rig.connect("3.8")
    await client.write("hi")
    assert await client.closing() == (1011, "Internal error occurred.")
    assert "no idea" in caplog.text
