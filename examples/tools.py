"""Let the model use functions; one of them is slow and does not hold up the conversation.

python examples/tools.py "What is the weather in Paris?"
"""

import asyncio
import sys
from typing import Annotated

from realtime_facade import RealtimeConfig, RealtimeVoice, ToolCallCompleted, TurnEnded

FORECAST = {"Paris": "sunny", "London": "rainy"}


async def get_weather(city: Annotated[str, "Name of the city"]) -> dict[str, str]:
    """Get the weather of a city."""
    await asyncio.sleep(0.2)  # as a real service would take its time
    return {"city": city, "weather": FORECAST.get(city, "unknown")}


def set_timer(minutes: int) -> str:
    """Set a timer for some minutes."""
    return f"The timer rings in {minutes} minutes."


async def main(question: str) -> None:
    voice = RealtimeVoice(config=RealtimeConfig(tools=(get_weather, set_timer)))

    @voice.on(ToolCallCompleted)
    async def log(event: ToolCallCompleted) -> None:
        print(f"{event.function_name} took {event.duration_ms:.0f} ms: {event.output}")

    async with voice.connect() as session:
        events = session.events()
        await session.send_text(question)
        async for event in events:
            if isinstance(event, TurnEnded):
                break
    print(session.history.format())


asyncio.run(main(sys.argv[1]))
