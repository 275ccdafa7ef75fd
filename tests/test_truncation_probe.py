"""The truncation over real sockets, in real time, against what a listener's recording holds."""

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from realtime_facade import AudioChunk, Interrupted, RealtimeConfig, RealtimeVoice
from realtime_facade.audio.pcm import chunks
from realtime_facade.audio.resample import resample
from realtime_facade.devices.file import FileSpeaker
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.faults import StallFault
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = Scenario.parse("""
[[turns]]
steps = [{ say = "This answer takes about five seconds to speak, so that there is time enough to \
cut in, two seconds after it has begun to arrive here." }]
[[turns]]
steps = []
""")


def heard_ms(path: Path, received: bytes) -> tuple[float, float]:
    """How much of what was received sounded: at least, and at most.

    They differ only where the cut fell into a pause of the voice.
    """
    with wave.open(str(path)) as wav:
        sound = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(int)
    sent = np.frombuffer(received, "<i2").astype(int)
    begin = int(np.flatnonzero(sent)[0])
    sound, sent = sound[np.flatnonzero(sound)[0] :], sent[begin:]
    length = min(len(sound), len(sent))
    # A cut fades out over 5 ms; from then on the recording is silent and the answer is not.
    differs = np.flatnonzero(np.abs(sound[:length] - sent[:length]) > 1)
    most = int(differs[0]) if len(differs) else length
    return (begin + int(np.flatnonzero(sound)[-1])) / 24, (begin + most) / 24


async def probe(
    path: Path, latency_ms: float, stall: bool
) -> tuple[float, tuple[float, float], Interrupted]:
    """What the provider was told, what the recording holds, and the event."""
    voice = BabbleVoice()
    user = b"".join([c async for c in voice.speak("excuse me but I have another question")])
    user = resample(user, voice.sample_rate, 24_000)
    faults = (StallFault(after_chunks=6, seconds=0.3),) if stall else ()
    speaker = FileSpeaker(path, latency_ms=latency_ms)
    await speaker.start()
    truncated: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    received = bytearray()
    async with Simulator(scenario=SCENARIO, speed=6, chunk_ms=400, faults=faults) as server:
        talk = RealtimeVoice(
            "openai", RealtimeConfig(), api_key="x", base_url=server.openai_url, sink=speaker
        )

        @talk.on_wire("conversation.item.truncated")
        async def keep(message: dict):
            truncated.set_result(message["audio_end_ms"])

        async with talk.connect() as session:
            stream = session.events()
            await session.send_text("go on")
            speaking = None
            async for event in stream:
                if isinstance(event, AudioChunk):
                    received += event.data
                    if speaking is None:
                        speaking = asyncio.create_task(cut_in(session, user))
                elif isinstance(event, Interrupted):
                    break
            told_ms = await asyncio.wait_for(truncated, 5)
            await speaking
    await speaker.stop()
    return told_ms, heard_ms(path, bytes(received)), event


async def cut_in(session, user: bytes) -> None:
    await asyncio.sleep(2.0)
    for chunk in chunks(user, 20, 24_000):
        session.send_audio(chunk)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("stall", [False, True])
async def test_the_provider_is_told_what_was_heard_within_20_ms(tmp_path, stall):
    latencies = [0, 50, 250, 500]
    results = await asyncio.gather(*(probe(tmp_path / f"{ms}.wav", ms, stall) for ms in latencies))
    for latency_ms, (told_ms, (least_ms, most_ms), event) in zip(latencies, results, strict=True):
        assert least_ms - 20 < told_ms < most_ms + 20, f"latency {latency_ms} ms"
        assert most_ms - least_ms < 250, "the recording leaves too much open"
        assert event.heard_ms == told_ms < event.items[0].received_ms
        assert 1_500 < told_ms + latency_ms < 2_800
