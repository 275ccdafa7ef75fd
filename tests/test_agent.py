import asyncio
import os
import signal
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from realtime_facade import (
    AgentListener,
    AgentResult,
    AudioInputDevice,
    AudioOutputDevice,
    ConfigurationError,
    ErrorOccurred,
    OpenAIProvider,
    RealtimeAgent,
    RealtimeConfig,
    RealtimeConnectionError,
    RealtimeError,
    SemanticEagerness,
    SemanticVAD,
    SessionClosed,
    SessionStarted,
    TranscriptDelta,
    TurnEnded,
    UsageLimit,
    output_guardrail,
)
from realtime_facade.audio.pcm import silence
from realtime_facade.audio.resample import resample
from realtime_facade.audio.vad import EnergyVad
from realtime_facade.audio.wav import WavWriter
from realtime_facade.devices.file import FileMicrophone, FileSpeaker
from realtime_facade.devices.null import NullMicrophone, NullSpeaker
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = """
[[turns]]
heard = "hello there"
steps = [{ say = "Hello yourself." }]
"""


@pytest.fixture
async def simulator(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    scenario = getattr(request, "param", SCENARIO)
    async with Simulator(scenario=Scenario.parse(scenario), speed=20, seed=1) as server:
        yield server


def provider(simulator: Simulator) -> OpenAIProvider:
    return OpenAIProvider(api_key="x", base_url=simulator.openai_url)


async def recorded(path: Path, text: str = "hello there", before_ms: int = 300) -> Path:
    voice = BabbleVoice()
    pcm = b"".join([chunk async for chunk in voice.speak(text)])
    with WavWriter(path, 24_000) as wav:
        wav.write(silence(before_ms, 24_000))
        wav.write(resample(pcm, voice.sample_rate, 24_000))
    return path


class Notes(AgentListener):
    """Writes down what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __getattribute__(self, name: str):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        async def note(*args: object) -> None:
            self.calls.append((name, *args))

        return note

    def named(self, name: str) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


async def test_a_conversation_from_file_to_file(simulator, tmp_path):
    question = await recorded(tmp_path / "question.wav")
    notes = Notes()
    agent = RealtimeAgent(
        instructions="Be brief.",
        provider=provider(simulator),
        audio_input=FileMicrophone(question),
        audio_output=FileSpeaker(tmp_path / "answer.wav"),
        recording_path=tmp_path / "talks" / "talk.wav",
        listener=notes,
    )
    async with asyncio.timeout(15):
        result = await agent.run()
    assert result.reason == "input_ended"
    assert [(t.role, t.text) for t in result.turns] == [
        ("user", "hello there"),
        ("assistant", "Hello yourself."),
    ]
    assert result.conversation_turns == result.turns
    assert result.usage.total > 0
    assert result.recording_path == tmp_path / "talks" / "talk.wav"
    order = [call[0] for call in notes.calls]
    assert order[:2] == ["on_agent_starting", "on_agent_session_connected"]
    assert order[-1] == "on_agent_stopped"
    for name in ("on_user_started_speaking", "on_user_stopped_speaking"):
        assert len(notes.named(name)) == 1
    assert notes.named("on_user_transcript") == [("hello there",)]
    assert notes.named("on_assistant_transcript") == [("Hello yourself.",)]
    deltas = "".join(str(d) for (d,) in notes.named("on_assistant_transcript_delta"))
    assert deltas == "Hello yourself."
    assert order.index("on_assistant_started_responding") < order.index(
        "on_assistant_stopped_responding"
    )
    with wave.open(str(result.recording_path)) as wav:
        assert wav.getnchannels() == 2
        both = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(both[:, 0].astype(int)).max() > 1_000
    assert np.abs(both[:, 1].astype(int)).max() > 1_000
    user_end = np.flatnonzero(np.abs(both[:, 0].astype(int)) > 500)[-1]
    answer_start = np.flatnonzero(np.abs(both[:, 1].astype(int)) > 500)[0]
    assert answer_start > user_end


async def test_stop_ends_the_run_and_gives_the_same_result_again(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=NullMicrophone(),
        audio_output=NullSpeaker(),
    )
    assert await agent.stop() is None
    async with agent:
        await until_connected(agent)
        await agent.session.send_text("hello")
        await asyncio.sleep(0.3)
        first = await agent.stop()
    assert isinstance(first, AgentResult)
    assert first.reason == "stopped"
    assert [t.text for t in first.turns] == ["hello", "Hello yourself."]
    assert await agent.stop() == first
    with pytest.raises(SessionClosed, match="not running"):
        _ = agent.session


async def test_stop_gives_the_result_of_a_run_in_another_task(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=NullMicrophone(), audio_output=NullSpeaker()
    )
    running = asyncio.create_task(agent.run())
    await until_connected(agent)
    async with asyncio.timeout(5):
        stopped = await agent.stop()
        assert stopped is await running
    assert await agent.stop() is stopped


async def test_stop_before_the_first_turn_of_the_loop_ends_the_run(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=NullMicrophone(), audio_output=NullSpeaker()
    )
    async with asyncio.timeout(5), agent:
        result = await agent.stop()
    assert result is not None
    assert result.reason == "stopped"


async def until_connected(agent: RealtimeAgent) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _ = agent.session
            except SessionClosed:
                await asyncio.sleep(0.01)
            else:
                return


async def test_ctrl_c_ends_the_conversation_and_not_the_program(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=NullMicrophone(), audio_output=NullSpeaker()
    )
    running = asyncio.create_task(agent.run())
    await until_connected(agent)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(5):
        result = await running
    assert result.reason == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_silence_ends_the_conversation_after_a_countdown(simulator):
    notes = Notes()
    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=NullMicrophone(),
        audio_output=NullSpeaker(),
        listener=notes,
        inactivity_timeout_enabled=True,
        inactivity_timeout_seconds=1.5,
    )
    async with asyncio.timeout(10):
        result = await agent.run()
    assert result.reason == "inactivity"
    assert notes.named("on_user_inactivity_countdown") == [(1,)]


@pytest.mark.parametrize(
    "simulator",
    [SCENARIO + '[[faults]]\nkind = "close"\ncode = 1011\nreason = "gone"\n'],
    indirect=True,
)
async def test_a_connection_that_is_lost_for_good_ends_the_run_with_its_reason(simulator):
    notes = Notes()
    agent = RealtimeAgent(
        provider=provider(simulator),
        config=RealtimeConfig(reconnect=False),
        audio_input=NullMicrophone(),
        audio_output=NullSpeaker(),
        listener=notes,
    )
    running = asyncio.create_task(agent.run())
    await until_connected(agent)
    await agent.session.send_text("hello")
    async with asyncio.timeout(10):
        result = await running
    assert result.reason == "disconnected"
    assert isinstance(result.error, RealtimeConnectionError)
    assert [type(e) for (e,) in notes.named("on_agent_error")] == [RealtimeConnectionError]


def test_making_one_needs_neither_key_nor_devices():
    agent = RealtimeAgent(name="billing", instructions="You do bills.")
    with pytest.raises(ConfigurationError, match="no provider is configured"):
        _ = agent.voice


async def test_a_missing_key_shows_before_a_device_opens():
    class Speaker(NullSpeaker):
        async def start(self) -> None:
            raise AssertionError("it was opened")

    agent = RealtimeAgent(audio_input=NullMicrophone(), audio_output=Speaker())
    with pytest.raises(ConfigurationError, match="no provider is configured"):
        await agent.run()


async def test_the_bus_takes_handlers_before_a_run_and_during_it(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=NullMicrophone(), audio_output=NullSpeaker()
    )
    before, during = [], []
    agent.event_bus.subscribe((SessionStarted, TranscriptDelta), before.append)
    answered = asyncio.Event()
    async with agent:
        await until_connected(agent)
        assert agent.event_bus is agent.session.event_bus

        async def turn_ended(event: TurnEnded) -> None:
            during.append(event)
            answered.set()

        agent.event_bus.subscribe(TurnEnded, turn_ended)
        await agent.session.send_text("hello")
        async with asyncio.timeout(5):
            await answered.wait()
        await agent.stop()
    assert isinstance(before[0], SessionStarted)
    assert "".join(e.text for e in before[1:]) == "Hello yourself."
    assert len(during) == 1


async def test_it_runs_again_but_not_twice_at_once(simulator):
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=NullMicrophone(), audio_output=NullSpeaker()
    )
    for _ in range(2):
        async with agent:
            await until_connected(agent)
            with pytest.raises(RealtimeError, match="running already"):
                await agent.run()
            first = await agent.stop()
        assert first is not None
        assert first.reason == "stopped"


async def test_a_usage_limit_ends_the_run_after_the_answer(simulator):
    speaker = Played()
    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=NullMicrophone(),
        audio_output=speaker,
        usage_limit=UsageLimit(tokens=1),
        prices="published",
    )
    running = asyncio.create_task(agent.run())
    await until_connected(agent)
    await agent.session.send_text("hello")
    async with asyncio.timeout(10):
        result = await running
    assert result.reason == "usage_limit"
    assert result.usage.total > 0
    assert result.cost is not None
    assert 0 < result.cost < 0.1
    assert [t.text for t in result.turns] == ["hello", "Hello yourself."]
    loud = np.abs(np.frombuffer(speaker.heard, "<i2").astype(int)) > 100
    assert loud.sum() > 5_000, "it was heard"


async def test_the_result_counts_what_guardrails_objected_to(simulator, tmp_path):
    question = await recorded(tmp_path / "question.wav")

    @output_guardrail(mode="hold", replacement=None)
    async def unfriendly(text):
        return "Hello" in text

    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=FileMicrophone(question, realtime=False),
        audio_output=NullSpeaker(),
        guardrails=[unfriendly],
    )
    result = await agent.run()
    assert result.guardrail_trips == {"unfriendly": 1}
    assert [turn.role for turn in result.turns] == ["user"]


async def test_a_session_without_devices(simulator):
    agent = RealtimeAgent(provider=provider(simulator), instructions="Be brief.")
    async with agent.connect() as session, asyncio.timeout(5):
        events = session.events()
        await session.send_text("hello")
        async for event in events:
            assert not isinstance(event, ErrorOccurred)
            if isinstance(event, TurnEnded):
                break
    assert session.history.turns[-1].text == "Hello yourself."


async def test_devices_are_closed_when_the_provider_cannot_be_reached():
    class Speaker(NullSpeaker):
        stopped = False

        async def stop(self) -> None:
            self.stopped = True
            await super().stop()

    speaker = Speaker()
    agent = RealtimeAgent(
        provider=OpenAIProvider(api_key="x", base_url="ws://127.0.0.1:9/v1"),
        audio_input=NullMicrophone(),
        audio_output=speaker,
    )
    with pytest.raises(RealtimeConnectionError):
        await agent.run()
    assert speaker.stopped


async def test_a_device_that_fails_is_an_error_and_not_a_hang(simulator):
    class Broken(NullMicrophone):
        async def start(self) -> None:
            raise RealtimeError("the microphone is busy", cause="device")

    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=Broken(), audio_output=NullSpeaker()
    )
    with pytest.raises(RealtimeError, match="busy") as caught:
        await agent.run()
    assert caught.value.cause == "device"
    assert simulator.sessions_open == 0


async def test_own_devices_need_only_the_abstract_methods(simulator):
    class Microphone(AudioInputDevice):
        def __init__(self) -> None:
            self._active = False

        async def start(self) -> None:
            self._active = True

        async def stop(self) -> None:
            self._active = False

        async def stream_chunks(self) -> AsyncIterator[bytes]:
            while self._active:
                yield bytes(960)
                await asyncio.sleep(0.02)

        @property
        def is_active(self) -> bool:
            return self._active

    class Loudspeaker(AudioOutputDevice):
        def __init__(self) -> None:
            self.played = bytearray()

        async def start(self) -> None: ...

        async def stop(self) -> None: ...

        async def play_chunk(self, chunk: bytes) -> None:
            self.played += chunk

        async def clear_buffer(self) -> None: ...

    speaker = Loudspeaker()
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=Microphone(), audio_output=speaker
    )
    async with agent:
        await until_connected(agent)
        await agent.session.send_text("hello")
        await asyncio.sleep(0.5)
        await agent.stop()
    assert len(speaker.played) > 10_000


async def test_volume_and_mute_reach_the_loudspeaker(simulator):
    speaker = NullSpeaker()
    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=NullMicrophone(),
        audio_output=speaker,
        volume=0.25,
    )
    async with agent:
        await until_connected(agent)
        assert speaker.volume == 0.25
        agent.volume = 0.5
        agent.muted = True
        assert (speaker.volume, speaker.muted) == (0.5, True)
        with pytest.raises(ValueError, match="volume"):
            agent.volume = 1.5
        assert agent.volume == 0.5
        await agent.stop()


def test_settings_beside_the_configuration_win(simulator):
    agent = RealtimeAgent(
        provider="local",
        model="m",
        speech_speed=1.2,
        turn_detection=SemanticVAD(eagerness=SemanticEagerness.LOW),
        transcription_model="t",
        interruption_verdict_ms=0,
    )
    config = agent.config
    assert (config.model, config.speed, config.turns.eagerness) == ("m", 1.2, "low")
    assert config.transcription.model == "t"
    assert config.interruption_verdict_ms == 0


def test_a_recording_of_an_unknown_kind_is_refused_at_once():
    with pytest.raises(ConfigurationError, match=r"\.mp3"):
        RealtimeAgent(provider="local", recording_path="talk.mp3")


LONG = """
[[turns]]
steps = [{ say = "This is a long answer which goes on for quite a while, so that somebody can \
cough in the middle of it without losing a single word of what is being said." }]
[[turns]]
heard = "stop please"
steps = [{ say = "All right." }]
"""


class Played(NullSpeaker):
    """Keeps what the listener heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()

    def _sound(self, heard) -> None:
        self.heard += np.asarray(heard, np.int16).tobytes()


class Scripted(NullMicrophone):
    """Silence, and whatever the test puts in between."""

    def __init__(self) -> None:
        super().__init__()
        self.say: list[bytes] = []

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        async for chunk in super().stream_chunks():
            yield self.say.pop(0) if self.say else chunk


async def user_audio(text: str, ms: int | None = None) -> list[bytes]:
    voice = BabbleVoice()
    pcm = b"".join([chunk async for chunk in voice.speak(text)])
    pcm = resample(pcm, voice.sample_rate, 24_000)
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 1000)[0]
    pcm = pcm[2 * loud :]
    pcm = pcm[: 48 * ms] if ms else pcm
    return [pcm[i : i + 960].ljust(960, b"\0") for i in range(0, len(pcm), 960)]


@pytest.mark.parametrize("simulator", [LONG], indirect=True)
async def test_a_cough_does_not_cost_a_word(simulator):
    microphone, speaker = Scripted(), Played()
    received = bytearray()
    agent = RealtimeAgent(
        provider=provider(simulator),
        audio_input=microphone,
        audio_output=speaker,
        vad=EnergyVad,
        skip_leading_silence=False,
    )
    kinds = []

    @agent.voice.on_audio
    async def keep(audio: bytes):
        received.extend(audio)

    @agent.voice.on()
    async def note(event):
        kinds.append(event.type)

    async with agent:
        await until_connected(agent)
        await agent.session.send_text("go on")
        await asyncio.sleep(1.5)
        microphone.say += await user_audio("hm", 120)
        await asyncio.sleep(1.0)
        await asyncio.sleep(agent.session.playback.pending_ms / 1000 + 0.2)
        await agent.stop()
    assert kinds.count("playback_held") == kinds.count("playback_resumed") == 1
    assert "interrupted" not in kinds
    assert "speech_started" not in kinds, "the cough reached the provider"
    assert_same_but_for_a_pause(bytes(speaker.heard), bytes(received))


def assert_same_but_for_a_pause(heard: bytes, said: bytes) -> None:
    """What was heard is what was said, with one silence in it and two short fades around it."""
    heard_samples = np.frombuffer(heard, "<i2").astype(int)
    said_samples = np.frombuffer(said, "<i2").astype(int)
    start = int(np.flatnonzero(said_samples)[0])
    said_samples = said_samples[start:]
    heard_samples = heard_samples[np.flatnonzero(heard_samples)[0] :]
    split = int(np.flatnonzero(heard_samples[: len(said_samples)] != said_samples)[0])
    # From the other end: the tail after the pause.
    end = len(said_samples)
    last = int(np.flatnonzero(heard_samples)[-1]) + 1
    last_said = int(np.flatnonzero(said_samples)[-1]) + 1
    tail = heard_samples[:last][::-1][: last_said - split]
    same = np.flatnonzero(tail != said_samples[:last_said][::-1][: last_said - split])
    matched = int(same[0]) if len(same) else last_said - split
    lost = last_said - split - matched
    assert lost <= 2 * 24 * 6, f"{lost / 24:.1f} ms differ, more than two fades"
    assert last - last_said > 24 * 100, "there was a pause"
    assert end > 0


@pytest.mark.parametrize("simulator", [LONG], indirect=True)
async def test_a_voice_that_lasts_cuts_in(simulator):
    microphone, speaker = Scripted(), Played()
    agent = RealtimeAgent(
        provider=provider(simulator), audio_input=microphone, audio_output=speaker, vad=EnergyVad
    )
    cuts = []

    @agent.voice.on_interrupted
    async def cut(event):
        cuts.append(event)

    async with agent:
        await until_connected(agent)
        await agent.session.send_text("go on")
        await asyncio.sleep(1.5)
        microphone.say += await user_audio("stop please will you")
        await asyncio.sleep(3.0)
        result = await agent.stop()
    assert len(cuts) == 1
    assert 1_000 < cuts[0].heard_ms < 2_200
    assert result.turns[-1].text == "All right."
    assert result.turns[1].interrupted
