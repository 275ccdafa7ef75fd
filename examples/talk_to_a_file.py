"""Ask what is said in a WAV file, and write the spoken answer to another one.

    python examples/talk_to_a_file.py question.wav answer.wav

Needs the package `soundfile` (extra `audio`) to read files of any kind of PCM.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from realtime_facade import AudioChunk, RealtimeConfig, RealtimeVoice, TranscriptDelta
from realtime_facade.audio.wav import WavWriter, read_wav


async def in_pieces(pcm: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


async def main(question: str, answer: str) -> None:
    pcm, rate = read_wav(question)
    config = RealtimeConfig(input_rate=rate)
    voice = RealtimeVoice(config=config)
    with WavWriter(answer, config.output_rate, 1) as wav:
        async for event in voice.run(in_pieces(pcm, rate // 50 * 2)):
            if isinstance(event, AudioChunk):
                wav.write(event.data)
            elif isinstance(event, TranscriptDelta) and event.is_final:
                print(f"{event.speaker}: {event.full_text}")


asyncio.run(main(*sys.argv[1:3]))
