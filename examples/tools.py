"""Let the model use functions; one of them is slow and does not hold up the conversation.

python examples/tools.py "What is the weather in Paris?"
"""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Annotated

from realtime_facade import (
    Inject,
    RealtimeConfig,
    RealtimeVoice,
    ToolCallCompleted,
    ToolContext,
    Tools,
    TurnEnded,
    builtin_tools,
)

FORECAST = {"Paris": "sunny", "London": "rainy"}


@dataclass
class Kitchen:
    """What belongs to the application."""

    timers: dict[str, int] = field(default_factory=dict)


tools = Tools()


@tools.action("Get the weather of a city", holding_instruction="Let me look out of the window.")
async def get_weather(city: Annotated[str, "Name of the city"]) -> dict[str, str]:
    await asyncio.sleep(0.2)  # as a real service would take its time
    return {"city": city, "weather": FORECAST.get(city, "unknown")}


@tools.action("Set a timer for some minutes", result_instruction="Confirm it in a few words.")
def set_timer(minutes: int, kitchen: Inject[Kitchen], call: Inject[ToolContext]) -> str:
    kitchen.timers[call.idempotency_key] = minutes  # asked twice for the same, it is set once
    return f"The timer rings in {minutes} minutes."


async def main(question: str) -> None:
    config = RealtimeConfig(tools=[tools, builtin_tools("get_current_time")])
    voice = RealtimeVoice(config=config, context=Kitchen())

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
