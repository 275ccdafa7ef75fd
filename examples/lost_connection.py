"""A connection that breaks in the middle of an answer: python examples/lost_connection.py

Needs no key: a simulated provider hangs up. The conversation goes on over another connection.
"""

import asyncio

from realtime_facade import (
    ConnectionChanged,
    OpenAIProvider,
    RealtimeVoice,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = Scenario.parse("""
[[turns]]
steps = [{ say = "It was a dark night, and the rain did not end before the morning came." }]

[[faults]]
kind = "close"
session = 1
after_chunks = 12
code = 1001
reason = "going away"
""")


async def main() -> None:
    async with Simulator(scenario=SCENARIO) as simulator:
        voice = RealtimeVoice(OpenAIProvider(api_key="simulated", base_url=simulator.openai_url))

        @voice.on(ConnectionChanged)
        async def show(event: ConnectionChanged) -> None:
            gap = f"after {event.gap_ms:.0f} ms" if event.gap_ms else event.reason
            print(f"[{event.state}] {gap}", flush=True)

        async with voice.connect() as session:
            events = session.events()
            await session.send_text("How was it?")
            async for event in events:
                if isinstance(event, TranscriptDelta) and event.full_text:
                    print(f"{event.speaker}: {event.full_text}", flush=True)
                elif isinstance(event, TurnEnded):
                    break
        print(session.history.format())


asyncio.run(main())
