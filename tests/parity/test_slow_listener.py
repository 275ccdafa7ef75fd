"""Half a minute of answer waits for a callback that takes 100 ms per chunk; the user speaks."""

import asyncio
import time

import pytest

from realtime_facade import AudioChunk, Interrupted, SpeechStarted

STORY = "and then it went on and on, further than anybody had thought, " * 12
SCENARIO = f"""
[[turns]]
steps = [{{ say = "{STORY}" }}]
[[turns]]
heard = "stop please"
steps = [{{ say = "All right." }}]
"""


class Listener:
    """Hears in real time, and knows how much."""

    def __init__(self) -> None:
        self.written_ms = 0.0
        self.began = 0.0
        self.position: float | None = None
        """Where hearing ended, once cleared."""

    def write(self, pcm: bytes) -> None:
        if self.position is None:
            self.began = self.began or time.monotonic()
            self.written_ms += len(pcm) / 48

    def clear(self) -> None:
        self.position = self.position or self.played_ms()

    def played_ms(self) -> float:
        if self.position is not None:
            return self.position
        heard = (time.monotonic() - self.began) * 1000 if self.began else 0.0
        return min(heard, self.written_ms)


async def test_the_interruption_overtakes_half_a_minute_of_audio(start, speech, row):
    sink = Listener()
    played: list[tuple[float, AudioChunk]] = []
    told: list[float] = []
    truncated: list[dict] = []
    first_response: list[str] = []

    def setup(voice):
        @voice.on_audio
        async def play(chunk: AudioChunk):
            played.append((time.monotonic(), chunk))
            await asyncio.sleep(0.1)

        @voice.on_interrupted
        async def interrupted():
            told.append(time.monotonic())

        @voice.on_wire("conversation.item.truncated")
        async def keep(message: dict):
            truncated.append(message)

    async with start(SCENARIO, sink=sink, setup=setup, simulator={"speed": 0}) as talk:
        await talk.session.send_text("tell me a story")
        received = 0.0
        while received < 30_000:
            received += (await talk.until(AudioChunk)).duration_ms
        first_response.append(talk.of(AudioChunk)[0].response_id)
        for frame in speech:
            await talk.session.send_audio(frame)
        cut = await talk.until(Interrupted)
        now = time.monotonic()
        waiting = [s.mailbox.audio_ms for s in talk.session._engine.bus._subscriptions]
        await asyncio.sleep(0.5)
        assert max(waiting) <= 200, "stale audio waits"
        assert len(told) == 1
        assert told[0] - now < 0.1
        stale = [t for t, c in played if c.response_id == first_response[0] and t > told[0]]
        assert stale == [], "a stale chunk was played"
        assert cut.heard_ms == pytest.approx(sink.position, abs=1)
        if row.truncates:
            assert [m["audio_end_ms"] for m in truncated] == [cut.heard_ms]
        if row.reports_speech:
            assert talk.of(SpeechStarted) or await talk.until(SpeechStarted)
