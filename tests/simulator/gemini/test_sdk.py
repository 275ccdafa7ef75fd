"""The judge: Google's own client, unpatched, completes every kind of turn with the simulator."""

import asyncio
import ssl
import warnings
from contextlib import asynccontextmanager

import pytest

with warnings.catch_warnings():
    # Of the SDK's own making, while it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from google import genai
    from google.genai import errors, types
from websockets.exceptions import ConnectionClosed

from realtime_facade.simulator.faults import CloseFault, DropFault

MODELS = {
    "2.5-native": "gemini-2.5-flash-native-audio-latest",
    "3.1": "gemini-3.1-flash-live-preview",
    "3.8": "gemini-3.8-live",
}
families = pytest.mark.parametrize("family", list(MODELS))
TALK = """
[[turns]]
heard = "hello"
steps = [{ say = "Good morning to you." }]
[[turns]]
heard = "stop"
steps = [{ say = "You said {heard}." }]
"""
TOOLS = """
[[turns]]
steps = [
  { call = "weather", arguments = { city = "Paris" } },
  { call = "weather", arguments = { city = "Rome" } },
  { say = "Both are {output}." },
]
"""


def client(rig, **more):
    trust = ssl.create_default_context(cafile=str(rig.simulator.ca_path))
    options = {"base_url": rig.simulator.gemini_url, "async_client_args": {"ssl": trust}, **more}
    return genai.Client(api_key="x", http_options=options)


def config(**more):
    return {
        "response_modalities": ["AUDIO"],
        "input_audio_transcription": {},
        "output_audio_transcription": {},
        **more,
    }


@asynccontextmanager
async def talking(rig, family, **more):
    async with client(rig).aio.live.connect(model=MODELS[family], config=config(**more)) as session:
        assert session.setup_complete is not None
        yield session


async def turn(session):
    """What `receive` yields before it stops by itself."""
    async with asyncio.timeout(10):
        return [message async for message in session.receive()]


def said(messages, kind="output_transcription"):
    contents = [m.server_content for m in messages if m.server_content]
    return "".join(getattr(c, kind).text for c in contents if getattr(c, kind))


def audio(messages):
    parts = [
        part
        for message in messages
        if message.server_content and message.server_content.model_turn
        for part in message.server_content.model_turn.parts
    ]
    return b"".join(part.inline_data.data for part in parts if part.inline_data)


@families
async def test_text_turns(rig, family):
    await rig.start(TALK)
    async with talking(rig, family) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]})
        first = await turn(session)
        await session.send_realtime_input(text="stop")
        second = await turn(session)
    assert said(first) == "Good morning to you."
    assert len(audio(first)) > 24_000
    assert first[-1].server_content.turn_complete
    assert first[-1].usage_metadata.total_token_count > 0
    assert said(second) == "You said stop."


@families
async def test_a_voice_turn(rig, speech, family):
    await rig.start(TALK)
    pcm = await speech()
    async with talking(rig, family) as session:
        for start in range(0, len(pcm), 3200):
            blob = types.Blob(data=pcm[start : start + 3200], mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=blob)
        messages = await turn(session)
    assert said(messages, "input_transcription").strip() == "hello"
    assert said(messages) == "Good morning to you."
    kinds = [
        m.voice_activity.voice_activity_type.value for m in messages if m.voice_activity is not None
    ]
    assert kinds == ([] if family == "2.5-native" else ["ACTIVITY_START", "ACTIVITY_END"])


@families
async def test_a_manual_turn(rig, speech, family):
    await rig.start(TALK)
    manual = {"automatic_activity_detection": {"disabled": True}}
    async with talking(rig, family, realtime_input_config=manual) as session:
        await session.send_realtime_input(activity_start=types.ActivityStart())
        blob = types.Blob(data=await speech(), mime_type="audio/pcm;rate=16000")
        await session.send_realtime_input(audio=blob)
        await session.send_realtime_input(activity_end=types.ActivityEnd())
        messages = await turn(session)
    assert said(messages, "input_transcription").strip() == "hello"
    assert said(messages) == "Good morning to you."


@families
async def test_parallel_calls(rig, family):
    await rig.start(TOOLS)

    def weather(city: str) -> str:
        """Weather of a city."""
        raise AssertionError("Live does not call functions itself")

    async with talking(rig, family, tools=[weather]) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]})
        messages, calls = [], []
        while "wet" not in said(messages):
            async with asyncio.timeout(10):
                async for message in session.receive():
                    messages.append(message)
                    if message.tool_call:
                        calls = message.tool_call.function_calls
                        await session.send_tool_response(
                            function_responses=[
                                {"id": call.id, "name": call.name, "response": {"output": "wet"}}
                                for call in calls
                            ]
                        )
    assert [(call.name, call.args) for call in calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Rome"}),
    ]
    assert said(messages) == "Both are wet."


@families
async def test_an_interruption(rig, speech, family):
    await rig.start('[[turns]]\nsteps = [{ say = "' + "word " * 40 + '" }]' + TALK, speed=2)
    pcm = await speech()
    async with talking(rig, family) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]})
        cut = []
        async for message in session.receive():
            if audio([message]) and not audio(cut):
                blob = types.Blob(data=pcm, mime_type="audio/pcm;rate=16000")
                await session.send_realtime_input(audio=blob)
            cut.append(message)
        after = await turn(session)
    contents = [m.server_content for m in cut if m.server_content]
    assert [c.interrupted for c in contents if c.interrupted] == [True]
    assert not any(c.generation_complete for c in contents)
    assert said(after) == "Good morning to you."


async def test_extended_thinking_keeps_receive_going_until_it_is_idle(rig):
    await rig.start(TOOLS)
    model = "gemini-3.8-live-extended-thinking"
    declared = [{"function_declarations": [{"name": "weather"}]}]
    settings = config(tools=declared, thinking_config={"thinking_level": "LOW"})
    async with client(rig).aio.live.connect(model=model, config=settings) as session:
        await session.send_realtime_input(text="hi")
        messages = []
        async with asyncio.timeout(10):
            async for message in session.receive():
                messages.append(message)
                for call in message.tool_call.function_calls if message.tool_call else ():
                    answer = {"id": call.id, "name": call.name, "response": {"output": "wet"}}
                    await session.send_tool_response(function_responses=[answer])
    assert said(messages) == "Both are wet."
    ends = [m for m in messages if m.server_content and m.server_content.turn_complete]
    assert len(ends) == 2


async def test_context_update(rig):
    await rig.start(TALK)
    async with talking(rig, "3.8") as session:
        await session.send_context_update(system_instruction="Be brief.", tools=[])
        await session.send_realtime_input(text="hi")
        assert said(await turn(session)) == "Good morning to you."


async def test_resumption(rig):
    await rig.start(TALK)
    async with talking(rig, "2.5-native", session_resumption={}) as session:
        await session.send_realtime_input(text="hi")
        messages = await turn(session)
        message = await session._receive()  # It comes after the end of the turn.
        update = message.session_resumption_update
        assert [m.session_resumption_update.new_handle for m in messages[:1]] == [None]
    assert update.resumable
    resumption = {"handle": update.new_handle}
    async with talking(rig, "2.5-native", session_resumption=resumption) as session:
        await session.send_realtime_input(text="stop")
        *_, last = await turn(session)
    assert last.usage_metadata.prompt_token_count > 10, "the first turn is remembered"


async def test_a_rich_setup_is_accepted(rig):
    await rig.start(TALK)
    settings = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        temperature=0.7,
        top_k=40,
        max_output_tokens=512,
        media_resolution=types.MediaResolution.MEDIA_RESOLUTION_LOW,
        speech_config=types.SpeechConfig(
            language_code="en-US",
            voice_config=types.VoiceConfig(
                prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore")
            ),
        ),
        system_instruction="Be brief.",
        enable_affective_dialog=True,
        proactivity=types.ProactivityConfig(proactive_audio=True),
        realtime_input_config=types.RealtimeInputConfig(
            automatic_activity_detection=types.AutomaticActivityDetection(
                start_of_speech_sensitivity=types.StartSensitivity.START_SENSITIVITY_LOW,
                end_of_speech_sensitivity=types.EndSensitivity.END_SENSITIVITY_LOW,
                prefix_padding_ms=20,
                silence_duration_ms=500,
            ),
            activity_handling=types.ActivityHandling.NO_INTERRUPTION,
            turn_coverage=types.TurnCoverage.TURN_INCLUDES_ONLY_ACTIVITY,
        ),
        context_window_compression=types.ContextWindowCompressionConfig(
            trigger_tokens=25_600, sliding_window=types.SlidingWindow(target_tokens=12_800)
        ),
        tools=[types.Tool(google_search=types.GoogleSearch())],
        history_config=types.HistoryConfig(initial_history_in_client_content=True),
    )
    live = client(rig, api_version="v1alpha").aio.live
    async with live.connect(model=MODELS["2.5-native"], config=settings) as session:
        await session.send_realtime_input(text="hi")
        await turn(session)


async def test_environment_variables_are_enough(rig, monkeypatch):
    await rig.start(TALK)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", rig.simulator.gemini_url)
    monkeypatch.setenv("SSL_CERT_FILE", str(rig.simulator.ca_path))
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    async with genai.Client().aio.live.connect(model=MODELS["3.8"], config=config()) as session:
        await session.send_realtime_input(text="hi")
        assert said(await turn(session)) == "Good morning to you."


async def test_refusals_arrive_as_the_sdk_s_errors(rig):
    await rig.start(TALK)
    live = client(rig).aio.live
    for model, settings, code, text in (
        (MODELS["3.8"], config(response_modalities=["TEXT"]), 1007, "The requested combination"),
        ("gemini-9", config(), 1008, "models/gemini-9 is not found"),
    ):
        with pytest.raises(errors.APIError, match=text) as refused:
            async with live.connect(model=model, config=settings):
                pass
        assert refused.value.code == code


@pytest.mark.parametrize("code", [1000, 1007, 1008, 1011])
async def test_closes_arrive_with_their_code(rig, code):
    await rig.start(TALK, faults=[CloseFault(code=code, reason="because", after_chunks=1)])
    async with talking(rig, "3.8") as session:
        await session.send_realtime_input(text="hi")
        with pytest.raises(errors.APIError, match="because") as closed:
            await turn(session)
        assert closed.value.code == code
        with pytest.raises(ConnectionClosed):
            await session.send_realtime_input(text="hi")


async def test_a_lost_setup_reply_leaves_the_sdk_waiting(rig):
    await rig.start(TALK, faults=[DropFault(turn=0, message="setupComplete")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), talking(rig, "2.5-native"):
            pass
