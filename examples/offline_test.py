"""Test an application without a provider: a scenario plays the other side.

python examples/offline_test.py
"""

import asyncio

from realtime_facade import RealtimeConfig, RealtimeVoice, TurnEnded
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = Scenario.parse("""
[[turns]]
when = "order"
steps = [
  { call = "order_status", arguments = { number = 7 } },
  { say = "Your order {output}." },
]
""")


def order_status(number: int) -> str:
    """Look up an order."""
    return f"number {number} is on its way"


async def test_the_order_is_looked_up() -> None:
    async with Simulator(scenario=SCENARIO, speed=0) as simulator:
        config = RealtimeConfig(tools=(order_status,))
        voice = RealtimeVoice("openai", config, api_key="any", base_url=simulator.openai_url)
        async with voice.connect() as session:
            events = session.events()
            await session.send_text("Where is my order?")
            async for event in events:
                if isinstance(event, TurnEnded):
                    break
    assert session.history.turns[-1].text == "Your order number 7 is on its way."


if __name__ == "__main__":
    asyncio.run(test_the_order_is_looked_up())
    print("passed")
