"""A receptionist who hands the caller over to billing: python examples/handoff.py "My bill, please"

Needs OPENAI_API_KEY or GEMINI_API_KEY.
"""

import asyncio
import sys

from realtime_facade import HandedOff, RealtimeAgent, RealtimeRunner, TranscriptDelta, TurnEnded


def find_bill(number: int) -> str:
    """Find a bill by its number."""
    return f"Bill {number} is paid."


billing = RealtimeAgent(
    name="Billing", instructions="You answer questions about bills.", tools=[find_bill]
)
reception = RealtimeAgent(
    name="Reception",
    instructions="Find out what the caller needs. Hand over questions about money.",
    handoffs=[billing],
)
billing.handoffs.append(reception)


async def main() -> None:
    speaker = reception.name
    async with await RealtimeRunner(reception).run() as session:
        events = session.events()
        await session.send_text(" ".join(sys.argv[1:]) or "I have a question about my bill.")
        async for event in events:
            if isinstance(event, HandedOff):
                speaker = event.to_agent
                print(f"{event.from_agent} hands over to {event.to_agent}")
            elif isinstance(event, TranscriptDelta) and event.full_text:
                print(f"{speaker}: {event.full_text}")
            elif isinstance(event, TurnEnded):
                break


asyncio.run(main())
