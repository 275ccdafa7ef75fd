"""How long it takes from the provider's `speech_started` to silence at the loudspeaker.

    python tests/bench/silence.py

Twenty sessions in one process, each with a microphone of 20 ms frames, a handler that takes 100 ms
for every chunk, and an assistant who is cut in on again and again. Measured from the server's send
to the moment the sink was told to fall silent; a device adds its own block.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sessions import END, FRAME, response_create

from realtime_facade import AudioChunk, Event, RawEvent, RealtimeVoice, SpeechStarted
from realtime_facade.session.observer import Observer

SESSIONS = 20
CUTS = 40


class Sink:
    cleared = 0.0

    def write(self, pcm: bytes) -> None: ...

    def clear(self) -> None:
        self.cleared = time.monotonic()

    def played_ms(self) -> float:
        return 0.0


class Stopwatch(Observer):
    def __init__(self, sink: Sink, delays: list[float]) -> None:
        self._sink = sink
        self._delays = delays

    def on_event(self, event: Event) -> None:
        if isinstance(event, SpeechStarted) and event.item_id is not None:
            self._delays.append(self._sink.cleared - float(event.item_id))


async def converse(url: str, delays: list[float]) -> None:
    sink = Sink()
    voice = RealtimeVoice(
        "openai", api_key="x", base_url=url, sink=sink, features=[lambda: Stopwatch(sink, delays)]
    )

    @voice.on(AudioChunk)
    async def slow(chunk: AudioChunk):
        await asyncio.sleep(0.1)

    async with voice.connect() as session:
        events = session.events()
        await session.send_raw(response_create(barge=CUTS))
        microphone = asyncio.create_task(talk(session))
        async for event in events:
            if isinstance(event, RawEvent) and event.name == END:
                break
        microphone.cancel()
        await asyncio.wait([microphone])


async def talk(session) -> None:
    begin = time.monotonic()
    number = 0
    while True:
        session.send_audio(FRAME)
        number += 1
        await asyncio.sleep(begin + number / 50 - time.monotonic())


async def main() -> None:
    peer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, Path(__file__).with_name("peer.py")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert peer.stdout is not None
        url = f"ws://127.0.0.1:{peer.stdout.readline().strip()}"
        delays: list[float] = []
        await asyncio.gather(*(converse(url, delays) for _ in range(SESSIONS)))
    finally:
        peer.kill()
        peer.wait()
    assert len(delays) == SESSIONS * CUTS
    cuts = statistics.quantiles([d * 1000 for d in delays], n=100)
    print(f"speech_started to silence, ms: median {cuts[49]:.2f}, p99 {cuts[98]:.2f}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
