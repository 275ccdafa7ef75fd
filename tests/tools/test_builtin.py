import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from realtime_facade.errors import ConfigurationError, ToolFailed
from realtime_facade.tools.builtin import builtin_tools
from realtime_facade.tools.run import run_tool


async def run(name: str, resources=(), **arguments):
    return await run_tool(builtin_tools().function(name), arguments, resources)


class Player:
    volume = 1.0


class Talk:
    def __init__(self, speed: float | None = None, *, fixed: bool = False) -> None:
        self.config = SimpleNamespace(speed=speed)
        self._fixed = fixed

    async def update(self, **changes) -> None:
        if self._fixed:
            raise ConfigurationError("cannot change speed")
        self.config = SimpleNamespace(**changes)


def test_they_come_by_name_or_all_together():
    assert builtin_tools().names == [
        "get_current_time",
        "adjust_volume",
        "change_assistant_response_speed",
        "stop_assistant_run",
    ]
    assert builtin_tools("adjust_volume").names == ["adjust_volume"]
    with pytest.raises(ConfigurationError, match="no ready-made tool 'sing'"):
        builtin_tools("sing")


async def test_the_time():
    assert re.fullmatch(r"\d\d:\d\d:\d\d", await run("get_current_time"))
    hour = int((await run("get_current_time", timezone="Etc/GMT-5")).split(":")[0])
    assert (hour - datetime.now(UTC).hour) % 24 in (4, 5, 6)
    for wrong in ("Mars/Olympus", "../passwd", ""):
        if wrong:
            with pytest.raises(ToolFailed, match="no time zone"):
                await run("get_current_time", timezone=wrong)


async def test_the_volume():
    player = Player()
    assert await run("adjust_volume", [player], level=0.25) == "The volume is 25% now."
    assert player.volume == 0.25
    with pytest.raises(ToolFailed, match=r"from 0.0 to 1.0, not to 11"):
        await run("adjust_volume", [player], level=11)
    assert player.volume == 0.25


@pytest.mark.parametrize(
    ("before", "word", "after"),
    [
        (None, "faster", 1.2),
        (1.0, "slower", 0.8),
        (1.4, "faster", 1.5),
        (1.5, "faster", 1.5),
        (0.3, "slower", 0.25),
        (0.25, "slower", 0.25),
    ],
)
async def test_the_pace(before, word, after):
    talk = Talk(before)
    said = await run("change_assistant_response_speed", [talk], instructions=word)
    assert talk.config.speed == after
    assert ("already" in said) == (before == after)


async def test_a_pace_that_cannot_be_set_is_told_to_the_model():
    said = await run("change_assistant_response_speed", [Talk(fixed=True)], instructions="faster")
    assert "cannot be set here" in said
    with pytest.raises(ToolFailed, match="'faster' or 'slower'"):
        await run("change_assistant_response_speed", [Talk()], instructions="backwards")
