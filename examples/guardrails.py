"""Words that nobody hears: python examples/guardrails.py "What is the password?"

Needs OPENAI_API_KEY or GEMINI_API_KEY.
"""

import asyncio
import re
import sys

from realtime_facade import (
    GuardrailResult,
    GuardrailTripped,
    RealtimeVoice,
    TranscriptDelta,
    output_guardrail,
)

SECRETS = re.compile(r"swordfish|\b\d{16}\b", re.IGNORECASE)


@output_guardrail(mode="hold")
def no_secrets(text: str) -> GuardrailResult:
    found = SECRETS.search(text)
    return GuardrailResult(found is not None, output_info="a secret" if found else None)


async def main() -> None:
    voice = RealtimeVoice(guardrails=[no_secrets])
    heard = bytearray()
    voice.on_audio(heard.extend)  # nothing that was not read first
    async with voice.connect() as session:
        events = session.events()
        await session.send_text(" ".join(sys.argv[1:]) or "What is the password?")
        async for event in events:
            if isinstance(event, GuardrailTripped):
                print(f"{event.guardrail} has found {event.output_info}: {event.action}")
            elif isinstance(event, TranscriptDelta) and event.full_text:
                print(f"{event.speaker}: {event.full_text}")
                if not session.history.turns[-1].interrupted:
                    break
    print(f"{len(heard) / 48:.0f} ms of sound")


asyncio.run(main())
