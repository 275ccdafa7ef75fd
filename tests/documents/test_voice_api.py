"""What the page of a voice API shows (document 4), with the names of this package."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_facade import (
    AudioChunk,
    GeminiRealtimeProvider,
    OpenAIRealtimeProvider,
    RealtimeConfig,
    RealtimeConnectionError,
    RealtimeError,
    RealtimeVoice,
    ToolCallRequest,
    ToolDefinition,
    TranscriptDelta,
    VADMode,
)

from .conftest import spoken

SCENARIO = """
[[turns]]
when = "weather"
heard = "what's the weather in Tokyo"
steps = [{ call = "get_weather", arguments = { city = "Tokyo" } }, { say = "{output}" }]
[[turns]]
when = "search"
steps = [{ call = "search_web", arguments = { query = "tea" } }, { say = "{output}" }]
[[turns]]
when = "23"
steps = [{ call = "calculator", arguments = { expression = "15 * 23" } }, { say = "{output}" }]
[[turns]]
when = "story"
steps = [{ say = "Once upon a time there was a king who told a story that was very long." }]
[[turns]]
when = "2 . 2"
steps = [{ say = "Four." }]
"""


def get_weather(city: str) -> str:
    """Get the current weather for a city."""
    return f"Weather in {city}: Sunny, 72°F"


def search_web(query: str) -> str:
    """Search the web for information."""
    return f"Search results for: {query}"


class Shown(list):
    """Final texts of the assistant, and a way to wait for so many."""

    def __init__(self) -> None:
        self.partial: list[str] = []
        self._more = asyncio.Event()

    def show(self, text: str, is_final: bool) -> None:
        if is_final:
            self.append(text)
            self._more.set()
        else:
            self.partial.append(text)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self._more.clear()
                await self._more.wait()


async def microphone_stream(tail_ms: int = 700) -> AsyncIterator[bytes]:
    for chunk in await spoken("what's the weather in Tokyo", tail_ms=tail_ms):
        yield chunk


async def test_quick_start(provider):
    provider(SCENARIO)
    played, shown = bytearray(), Shown()
    voice = RealtimeVoice(config=RealtimeConfig(tools=[get_weather]))

    @voice.on_audio
    async def handle_audio(audio: bytes):
        played.extend(audio)

    @voice.on_transcript
    async def handle_transcript(text: str, is_final: bool):
        shown.show(text, is_final)

    async with voice.connect() as session:
        async for chunk in microphone_stream():
            await session.send_audio(chunk)
        await shown.until(1)

    assert shown == ["Weather in Tokyo: Sunny, 72°F"]
    assert "".join(shown.partial) == shown[0]
    assert len(played) > 24_000


async def test_configuration(provider, wire):
    provider(SCENARIO)
    shown = Shown()
    config = RealtimeConfig(
        # Model settings
        model=wire.model,
        voice=wire.voice,
        # System prompt
        instructions="You are a helpful voice assistant.",
        # Voice Activity Detection
        vad_mode=VADMode.SERVER,
        vad_threshold=0.5,
        vad_prefix_padding_ms=300,
        vad_silence_duration_ms=500,
        # Generation settings
        temperature=0.8,
        max_tokens=4096,
        # Tool functions
        tools=[get_weather],
    )
    voice = RealtimeVoice(config=config)
    voice.on_transcript(shown.show)
    async with voice.connect() as session:
        await session.send_text("weather")
        await shown.until(1)
        told = {warning.setting for warning in session.warnings}
    assert ("temperature" in told) == (wire.provider == "openai"), "no silence about it"
    assert shown == ["Weather in Tokyo: Sunny, 72°F"]


async def test_turns_by_hand(provider):
    provider(SCENARIO)
    shown = Shown()
    config = RealtimeConfig(vad_mode=VADMode.MANUAL, tools=[get_weather])
    voice = RealtimeVoice(config=config)
    voice.on_transcript(shown.show)
    async with voice.connect() as session:
        async for chunk in microphone_stream():
            await session.send_audio(chunk)
        assert shown == []
        await session.commit_audio()
        await shown.until(1)


async def test_callbacks(provider):
    provider(SCENARIO)
    shown, errors, stopped = Shown(), [], asyncio.Event()
    asked: list[ToolCallRequest] = []
    definition = ToolDefinition(
        name="get_weather",
        description="Get the current weather for a city.",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string", "description": "City name"}},
            "required": ["city"],
        },
    )
    voice = RealtimeVoice(config=RealtimeConfig(tools=[definition]))
    voice.on_transcript(shown.show)

    @voice.on_tool_call
    async def handle_tool(request: ToolCallRequest):
        asked.append(request)
        if request.function_name == "get_weather":
            city = request.arguments.get("city", "Unknown")
            return f"Weather in {city}: Sunny, 72°F"
        return None

    @voice.on_error
    async def handle_error(error: RealtimeError):
        errors.append(error.message)

    @voice.on_interrupted
    async def handle_interrupted():
        stopped.set()

    @voice.on_audio
    async def fail(audio: AudioChunk):
        raise OSError("the loudspeaker is broken")

    async with voice.connect() as session:
        await session.send_text("weather")
        await shown.until(1)
        await session.send_text("a story please")
        await shown.until(2)
        await session.interrupt()
        async with asyncio.timeout(5):
            await stopped.wait()

    assert shown[0] == "Weather in Tokyo: Sunny, 72°F"
    [request] = asked
    assert (request.function_name, request.arguments) == ("get_weather", {"city": "Tokyo"})
    assert request.call_id
    assert "the loudspeaker is broken" in errors[0]


async def test_tools_are_executed_or_handled(provider):
    provider(SCENARIO)
    shown, tool_results = Shown(), []
    config = RealtimeConfig(
        instructions="Use tools when asked for weather or search.",
        tools=[get_weather, search_web],
    )
    voice = RealtimeVoice(config=config)
    voice.on_transcript(shown.show)
    async with voice.connect() as session:
        await session.send_text("What's the weather in Tokyo?")
        await shown.until(1)
    assert shown[0] == "Weather in Tokyo: Sunny, 72°F"

    @voice.on_tool_call
    async def custom_tool_handler(request: ToolCallRequest):
        tool_results.append(request)
        if request.function_name == "get_weather":
            return get_weather(**request.arguments)
        return "Tool not found"

    async with voice.connect() as session:
        await session.send_text("What's the weather in Tokyo?")
        await shown.until(2)
        await session.send_text("search")
        await shown.until(3)
    assert shown[1:] == ["Weather in Tokyo: Sunny, 72°F", "Tool not found"]
    assert [request.function_name for request in tool_results] == ["get_weather", "search_web"]


async def test_run(provider):
    provider(SCENARIO)
    played, printed = bytearray(), []
    voice = RealtimeVoice(config=RealtimeConfig(tools=[get_weather]))
    async with asyncio.timeout(15):
        async for event in voice.run(microphone_stream(tail_ms=100)):
            if isinstance(event, AudioChunk):
                played.extend(event.data)
            elif isinstance(event, TranscriptDelta):
                printed.append(event.text)
    assert len(played) > 24_000
    text = "".join(printed)
    assert text.count("what's the weather in Tokyo") == 1
    assert text.count("Weather in Tokyo: Sunny, 72°F") == 1


async def test_direct_provider_access(provider, wire):
    provider(SCENARIO)
    shown, played = Shown(), bytearray()
    config = RealtimeConfig(model=wire.model, voice=wire.voice)
    kinds = {"openai": OpenAIRealtimeProvider, "gemini": GeminiRealtimeProvider}
    direct = kinds[wire.provider](config=config)

    async def on_transcript(text: str, is_final: bool):
        shown.show(text, is_final)

    async def on_audio(audio: bytes):
        played.extend(audio)

    direct.on_transcript(on_transcript)
    direct.on_audio(on_audio)

    session = await direct.connect()
    try:
        await session.send_text("What's 2 + 2?")
        await shown.until(1)
    finally:
        await direct.disconnect()

    assert shown == ["Four."]
    assert played
    assert not session.is_active


async def test_error_handling(provider, wire):
    provider(SCENARIO)
    caught = []
    for base_url in (None, "ws://127.0.0.1:9"):
        voice = RealtimeVoice(wire.provider, base_url=base_url)
        try:
            async with voice.connect() as session:
                await session.send_audio([0.5])
        except RealtimeConnectionError as error:
            caught.append(error)
        except RealtimeError as error:
            caught.append(error)
    assert [type(error).__name__ for error in caught] == [
        "AudioFormatError",
        "RealtimeConnectionError",
    ]
    assert issubclass(RealtimeConnectionError, RealtimeError)


def test_data_models():
    chunk = AudioChunk(data=bytes(4_800), duration_ms=100, is_final=False)
    assert (len(chunk.data), chunk.duration_ms, chunk.is_final) == (4_800, 100, False)
    delta = TranscriptDelta(text="Hello there", is_final=True, speaker="assistant")
    assert (delta.text, delta.is_final, delta.speaker) == ("Hello there", True, "assistant")
    request = ToolCallRequest(
        call_id="call_123", function_name="get_weather", arguments={"city": "Tokyo"}
    )
    assert request.arguments.get("city") == "Tokyo"


def test_providers_and_voices(monkeypatch):
    assert RealtimeVoice.available_providers()[:2] == ["openai", "gemini"]
    assert RealtimeVoice.configured_providers() == []
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    assert RealtimeVoice.configured_providers() == ["gemini"]
    assert RealtimeVoice().provider_name == "gemini"
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert RealtimeVoice().provider_name == "openai"
    assert RealtimeVoice(provider="gemini").provider_name == "gemini"
    assert {"alloy", "echo", "shimmer"} <= set(RealtimeVoice.list_voices("openai"))
    gemini = {"Puck", "Charon", "Kore", "Fenrir", "Aoede"}
    assert gemini <= set(RealtimeVoice.list_voices("gemini"))


async def test_voice_assistant_and_math_assistant(provider, wire):
    provider(SCENARIO)

    def calculator(expression: str) -> str:
        """Evaluate a math expression."""
        try:
            left, right = expression.split("*")
            return str(int(left) * int(right))
        except ValueError:
            return "Invalid expression"

    config = RealtimeConfig(
        instructions="You are a math assistant. Use the calculator tool.",
        voice=wire.voice,
        tools=[calculator],
    )
    shown = Shown()
    voice = RealtimeVoice(config=config)

    @voice.on_transcript
    async def show(text: str, is_final: bool):
        shown.show(text, is_final)

    async with voice.connect() as session:
        # Simple text-based testing
        await session.send_text("What's 2 + 2?")
        await shown.until(1)
        await session.send_text("What's 15 * 23?")
        await shown.until(2)
    assert shown == ["Four.", "345"]


@pytest.mark.parametrize("chunk_ms", [1, 20, 200])
async def test_chunks_of_any_length_will_do(provider, chunk_ms):
    provider(SCENARIO)
    shown = Shown()
    voice = RealtimeVoice(config=RealtimeConfig(tools=[get_weather]))
    voice.on_transcript(shown.show)
    pcm = b"".join([chunk async for chunk in microphone_stream()])
    size = 48 * chunk_ms
    async with voice.connect() as session:
        for start in range(0, len(pcm), size):
            await session.send_audio(pcm[start : start + size])
        await shown.until(1)
    assert shown == ["Weather in Tokyo: Sunny, 72°F"]
