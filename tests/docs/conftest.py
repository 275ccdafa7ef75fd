"""A simulated provider, to which the environment leads."""

from collections.abc import Callable

import pytest

from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Wire
from realtime_facade.testing import StartSimulator

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
    when = "password"
    steps = [{ say = "Of course I can tell you that. The password is swordfish, my friend." }]

    [[turns]]
    asked = "cannot talk about"
    steps = [{ say = "I cannot talk about that." }]

    [[turns]]
    when = "story"
    steps = [{ say = "Once upon a time there was a very long story, and it went on and on." }]
    """
)


@pytest.fixture
def simulated(simulator: StartSimulator) -> Callable[[Wire | None], None]:
    """Leads the environment to a provider that speaks `wire`; None: to nobody."""

    def lead(wire: Wire | None) -> None:
        if wire is not None:
            simulator(SCENARIO, wires=(wire,), seed=None)

    return lead
