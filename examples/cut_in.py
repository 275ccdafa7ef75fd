"""Cut an answer short after a second, and see what the listener heard of it.

python examples/cut_in.py
"""

import asyncio
import time

from realtime_facade import AudioChunk, AudioSink, Interrupted, RealtimeVoice


class Ear(AudioSink):
    """Hears in real time, and knows how much. A sound card would do the same."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._ms = 0.0
        self._ends = 0.0

    def write(self, pcm: bytes) -> None:
        duration_ms = len(pcm) * 500 / self._rate
        self._ms += duration_ms
        self._ends = max(self._ends, time.monotonic()) + duration_ms / 1000

    def clear(self) -> None:
        self._ms, self._ends = self.played_ms(), 0.0

    def played_ms(self) -> float:
        return self._ms - max(self._ends - time.monotonic(), 0) * 1000


async def main() -> None:
    voice = RealtimeVoice(sink=Ear(24_000))
    async with voice.connect() as session:
        events = session.events()
        await session.send_text("Tell me a long story.")
        async for event in events:
            if isinstance(event, AudioChunk):
                await asyncio.sleep(1)
                await session.interrupt()
                break
        async for event in events:
            if isinstance(event, Interrupted):
                for item in event.items:
                    print(f"{item.heard_ms} of {item.received_ms} ms heard: {item.heard_text}")
                break


asyncio.run(main())
