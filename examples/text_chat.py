"""Type to the model, read its answers as it speaks them. Ends with an empty line.

python examples/text_chat.py
"""

import asyncio

from realtime_facade import RealtimeConfig, RealtimeVoice, TranscriptDelta, TurnEnded


async def main() -> None:
    voice = RealtimeVoice(config=RealtimeConfig(instructions="Be brief."))
    async with voice.connect() as session:
        print(f"Talking with {session.model} at {session.provider}.")
        while text := (await asyncio.to_thread(input, "> ")).strip():
            events = session.events()
            await session.send_text(text)
            async for event in events:
                if isinstance(event, TranscriptDelta):
                    print(event.text, end="", flush=True)
                elif isinstance(event, TurnEnded):
                    break
            await events.aclose()
            print()


asyncio.run(main())
