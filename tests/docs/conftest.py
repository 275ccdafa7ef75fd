"""A simulated provider, to which the environment leads."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator, Wire

Simulated = Callable[[Wire | None], AbstractAsyncContextManager[None]]

SCENARIO = Scenario.parse(
    """
    name = "documentation"
    otherwise = "Hello! How can I help?"

    [[turns]]
    when = "weather"
    steps = [
      { call = "get_weather", arguments = { city = "Paris" } },
      { say = "{output}" },
    ]

    [[turns]]
    when = "table"
    steps = [
      { call = "supervisor", arguments = { task = "book a table at Luigi's for two" } },
      { say = "Would you like to sit by the window or by the door?" },
    ]

    [[turns]]
    when = "window"
    steps = [
      { call = "supervisor", arguments = { task = "book a table", answer = "by the window" } },
      { say = "{output}" },
    ]

    [[turns]]
    when = "bill"
    steps = [
      { call = "transfer_to_billing" },
      { say = "Billing speaking. Which bill is it?" },
    ]

    [[turns]]
    when = "story"
    steps = [{ say = "Once upon a time there was a very long story, and it went on and on." }]
    """
)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    @asynccontextmanager
    async def run(wire: Wire | None) -> AsyncIterator[None]:
        if wire is None:
            yield
            return
        async with Simulator(scenario=SCENARIO, wires=(wire,), speed=0) as simulator:
            if wire == "openai":
                monkeypatch.setenv("OPENAI_API_KEY", "simulated")
                monkeypatch.setenv("OPENAI_BASE_URL", simulator.openai_url)
            else:
                monkeypatch.setenv("GEMINI_API_KEY", "simulated")
                monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", simulator.gemini_plain_url)
            yield

    return run
