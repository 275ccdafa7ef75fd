import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

import pytest

from realtime_facade import (
    AudioChunk,
    ConfigurationError,
    ErrorOccurred,
    Event,
    GeminiRealtimeProvider,
    Interrupted,
    OpenAIProvider,
    OpenAIRealtimeProvider,
    RealtimeConfig,
    RealtimeConnectionError,
    RealtimeError,
    RealtimeVoice,
    SessionClosed,
    SessionEnded,
    SessionStarted,
    SpeechStarted,
    TranscriptDelta,
    TurnEnded,
    VADMode,
)
from realtime_facade.audio.pcm import chunks, silence
from realtime_facade.audio.resample import resample
from realtime_facade.session.event_bus import EventBus
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = """
[[turns]]
heard = "hello there"
steps = [{ say = "Hello yourself." }]
[[turns]]
steps = [{ say = "Still here." }]
"""


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(scenario=Scenario.parse(SCENARIO), speed=50, seed=1) as server:
        yield server


@pytest.fixture
def voice(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> RealtimeVoice:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.openai_url)
    return RealtimeVoice()


async def speech(realtime: bool = False) -> AsyncIterator[bytes]:
    babble = BabbleVoice()
    pcm = b"".join([chunk async for chunk in babble.speak("hello there")])
    pcm = silence(200, 24_000) + resample(pcm, babble.sample_rate, 24_000)
    for frame in chunks(pcm, 20, 24_000):
        yield frame
        if realtime:
            await asyncio.sleep(0.02)


async def turn(voice: RealtimeVoice, text: str = "hello") -> list[Event]:
    """One text turn; everything that happened."""
    events = []
    async with voice.connect() as session:
        stream = session.events()
        await session.send_text(text)
        async for event in stream:
            events.append(event)
            if isinstance(event, TurnEnded):
                break
    return events


async def test_run_sends_the_audio_waits_for_the_answer_and_ends(voice):
    events = [event async for event in voice.run(speech())]
    kinds = [type(e) for e in events]
    assert SessionStarted in kinds[:2]
    assert kinds[-1] is SessionEnded
    assert SpeechStarted in kinds
    text = "".join(
        e.text for e in events if isinstance(e, TranscriptDelta) and e.speaker == "assistant"
    )
    assert text == "Hello yourself."
    assert sum(e.duration_ms for e in events if isinstance(e, AudioChunk)) > 300


async def test_run_commits_by_itself_when_turns_are_manual(voice):
    voice.config = RealtimeConfig(vad_mode=VADMode.MANUAL)
    events = [event async for event in voice.run(speech())]
    finals = [e.full_text for e in events if isinstance(e, TranscriptDelta) and e.is_final]
    assert "Hello yourself." in finals


async def test_leaving_run_closes_the_conversation(voice, simulator):
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield silence(20, 24_000)
                await asyncio.sleep(0.02)
        finally:
            stopped.set()

    async with contextlib.aclosing(voice.run(endless())) as events:
        async for event in events:
            if isinstance(event, SessionStarted):
                await asyncio.sleep(0.05)
                break
    async with asyncio.timeout(5):
        await stopped.wait()
        while simulator.sessions_open:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_run_raises_when_the_microphone_does(voice):
    async def broken() -> AsyncIterator[bytes]:
        yield silence(20, 24_000)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        async for _ in voice.run(broken()):
            pass


async def test_run_raises_when_the_connection_is_lost(monkeypatch):
    scenario = SCENARIO + '[[faults]]\nkind = "close"\ncode = 1011\nreason = "oops"\n'
    async with Simulator(scenario=Scenario.parse(scenario), speed=50) as server:
        config = RealtimeConfig(reconnect_budget_s=0.3)
        voice = RealtimeVoice("openai", config, api_key="x", base_url=server.openai_url)
        with pytest.raises(RealtimeConnectionError) as caught:
            async for _ in voice.run(speech()):
                pass
    assert caught.value.retryable


async def test_an_awaited_session_is_closed_by_disconnect(voice, simulator):
    first = await voice.connect()
    second = await voice.connect()
    assert first.is_active
    assert second.is_active
    await voice.disconnect()
    assert not first.is_active
    assert not second.is_active
    with pytest.raises(SessionClosed, match="the session is over"):
        first.send_audio(bytes(960))


async def test_a_session_that_nobody_kept_is_closed_by_disconnect(voice, simulator):
    await voice.connect()
    gc.collect()
    assert simulator.sessions_open == 1
    await voice.disconnect()
    async with asyncio.timeout(5):
        while simulator.sessions_open:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_handlers_get_what_their_annotations_say(voice):
    got: dict[str, list[object]] = {}

    def keep(name: str, *values: object) -> None:
        got.setdefault(name, []).append(values)

    @voice.on_audio
    async def audio_bytes(audio: bytes):
        keep("bytes", audio)

    @voice.on_audio
    async def audio_plain(audio):
        keep("plain", audio)

    @voice.on_audio
    def audio_chunk(chunk: AudioChunk):
        keep("chunk", chunk)

    @voice.on_audio
    def audio_quoted(chunk: "AudioChunk"):
        keep("quoted", chunk)

    @voice.on_transcript
    async def transcript(text: str, is_final: bool):
        keep("transcript", text, is_final)

    @voice.on_transcript
    async def delta(delta: TranscriptDelta):
        keep("delta", delta)

    @voice.on(TurnEnded, SessionStarted)
    async def some(event: Event):
        keep("some", event)

    @voice.on()
    async def everything(event: Event):
        keep("all", event)

    events = await turn(voice)
    audio = b"".join(e.data for e in events if isinstance(e, AudioChunk))
    assert b"".join(v for (v,) in got["bytes"]) == audio
    assert got["plain"] == got["bytes"]
    assert all(type(v) is AudioChunk for (v,) in got["chunk"])
    assert got["quoted"] == got["chunk"]
    assert got["chunk"][-1][0].is_final
    assert "".join(text for text, final in got["transcript"] if not final) == "Hello yourself."
    assert got["transcript"][-1] == ("Hello yourself.", True)
    assert {v.speaker for (v,) in got["delta"]} == {"assistant"}
    assert [type(v) for (v,) in got["some"]] == [SessionStarted, TurnEnded]
    assert len(got["all"]) >= len(events)


async def test_error_and_interruption_handlers_in_both_shapes(voice):
    got: list[object] = []

    @voice.on_error
    async def error(error: RealtimeError):
        got.append(error)

    @voice.on_error
    async def error_event(error: ErrorOccurred):
        got.append(error)

    @voice.on_interrupted
    async def interrupted():
        got.append("interrupted")

    @voice.on_interrupted
    async def interrupted_event(event: Interrupted):
        got.append(event)

    async with voice.connect() as session:
        await session.send_raw({"type": "no.such.thing"})
        stream = session.events()
        await session.send_text("hello")
        async for event in stream:
            if isinstance(event, AudioChunk):
                await session.interrupt()
                break
    kinds = {type(g) for g in got}
    assert kinds == {RealtimeError, ErrorOccurred, str, Interrupted}


async def test_wire_handlers_get_the_providers_own_json(voice):
    done, everything_else = [], []

    @voice.on_wire("response.done")
    async def keep(message: dict):
        done.append(message)

    @voice.on_wire("no.such.message")
    def never(message: dict):
        everything_else.append(message)

    await turn(voice)
    assert [m["type"] for m in done] == ["response.done"]
    assert done[0]["response"]["status"] == "completed"
    assert everything_else == []


def test_the_wire_tap_survives_what_is_no_message():
    voice = RealtimeVoice("openai", api_key="x")
    got = []
    voice.on_wire("a")(got.append)

    async def tap_all() -> None:
        bus = EventBus()
        tap = voice._wire_tap(bus)
        for frame in (b"{", b"[]", b'{"type": []}', b'{"type": {"a": 1}}', b'"a"', b'{"a": 1}'):
            tap(frame)
        await bus.close()

    asyncio.run(tap_all())
    assert got == [{"a": 1}]


def test_a_handler_without_parameters_is_refused():
    voice = RealtimeVoice("openai", api_key="x")
    with pytest.raises(ConfigurationError, match="takes no argument"):

        @voice.on_audio
        async def nothing(): ...


async def test_two_conversations_of_one_voice_are_independent(voice):
    async with voice.connect() as first, voice.connect() as second:
        for session in (first, second):
            stream = session.events()
            await session.send_text("hello")
            async for event in stream:
                if isinstance(event, TurnEnded):
                    break
        assert first.session_id != second.session_id
        assert len(first.history) == len(second.history) == 2


async def test_direct_access_to_a_provider(simulator):
    words = []
    provider = OpenAIRealtimeProvider(
        config=RealtimeConfig(voice="marin"), api_key="x", base_url=simulator.openai_url
    )

    async def on_transcript(text: str, is_final: bool):
        if is_final:
            words.append(text)

    provider.on_transcript(on_transcript)
    session = await provider.connect()
    stream = session.events()
    try:
        await session.send_text("Hello!")
        async for event in stream:
            if isinstance(event, TurnEnded):
                break
    finally:
        await provider.disconnect()
    assert words == ["Hello yourself."]
    assert not session.is_active


async def test_direct_access_to_gemini():
    async with Simulator(scenario=Scenario.parse(SCENARIO), wires=("gemini",), speed=50) as server:
        audio = bytearray()
        provider = GeminiRealtimeProvider(
            config=RealtimeConfig(voice="Puck"), api_key="x", base_url=server.gemini_plain_url
        )

        async def on_audio(chunk: bytes):
            audio.extend(chunk)

        provider.on_audio(on_audio)
        session = await provider.connect()
        stream = session.events()
        try:
            await session.send_text("Hello!")
            async for event in stream:
                if isinstance(event, TurnEnded):
                    break
        finally:
            await provider.disconnect()
        assert len(audio) > 10_000


def test_direct_providers_know_themselves(monkeypatch):
    assert not OpenAIRealtimeProvider.is_configured()
    monkeypatch.setenv("GOOGLE_API_KEY", "x")
    assert not OpenAIRealtimeProvider.is_configured()
    assert GeminiRealtimeProvider.is_configured()
    assert "marin" in OpenAIRealtimeProvider.list_voices()
    assert GeminiRealtimeProvider.get_default_model() in GeminiRealtimeProvider.list_models()


async def test_a_wrong_key_is_told_apart_from_a_dead_network(simulator):
    voice = RealtimeVoice("openai", base_url=simulator.openai_url.replace("ws", "http"))
    with pytest.raises(RealtimeConnectionError) as caught:
        await voice.connect()
    assert caught.value.cause == "authentication"
    assert not caught.value.retryable
    dead = RealtimeVoice("openai", api_key="x", base_url="ws://127.0.0.1:9/v1")
    with pytest.raises(RealtimeConnectionError) as caught:
        await dead.connect()
    assert (caught.value.cause, caught.value.retryable) == ("network", True)


async def test_a_key_never_appears_in_what_is_shown(simulator):
    provider = OpenAIProvider(api_key="sk-very-secret", base_url="ws://127.0.0.1:9/v1")
    voice = RealtimeVoice(provider)
    with pytest.raises(RealtimeConnectionError) as caught:
        await voice.connect()
    shown = f"{caught.value!r} {caught.value} {provider!r} {voice!r} {vars(caught.value)}"
    endpoint = provider.endpoint(voice.config, provider.profile(voice.config))
    assert "very-secret" not in shown + repr(endpoint)


async def test_a_voice_of_another_provider_is_refused_before_dialling():
    voice = RealtimeVoice("openai", RealtimeConfig(voice="Puck"), api_key="x")
    with pytest.raises(ConfigurationError, match="no voice 'Puck'") as caught:
        await voice.connect()
    assert "marin" in str(caught.value)


async def test_a_missing_key_is_refused_before_dialling():
    with pytest.raises(ConfigurationError, match="no key for provider 'openai'"):
        await RealtimeVoice("openai").connect()
