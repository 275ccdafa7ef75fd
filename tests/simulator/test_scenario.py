"""A written conversation is played as written, and a mistake in it is named where it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from realtime_facade.errors import ConfigurationError
from realtime_facade.simulator.faults import CloseFault
from realtime_facade.simulator.parts import Call, Entry, Message, Say, Step, ToolOutput
from realtime_facade.simulator.scenario import Scenario

TURNS = """
name = "Test"
otherwise = "Pardon?"

[[turns]]
heard = "hello"
steps = [{ say = "Hi, you said {heard}." }]

[[turns]]
when = "weather in (Rome|Paris)"
steps = [
    { say = "Let me look." },
    { call = "get_weather", arguments = { city = "Rome" } },
    { call = "get_time" },
    { say = "It is {output}. {other}" },
    { call = "more", wait = true },
    { say = "That was {output}, last." },
]

[[turns]]
steps = [{ call = "first" }, { call = "second", wait = true }, { say = "Done." }]

[[faults]]
kind = "close"
code = 1013
"""


class Talk:
    """A conversation with a scenario's mind."""

    def __init__(self, text: str = TURNS) -> None:
        self.mind = Scenario.parse(text).parts().mind()
        self.entries: list[Entry] = []

    async def say(self, text: str) -> Sequence[Step]:
        self.entries.append(Message("user", text))
        return await self.mind.answer(self.entries, (), "")

    async def output(self, *outputs: str) -> Sequence[Step]:
        self.entries += [ToolOutput("tool", {}, output) for output in outputs]
        return await self.mind.answer(self.entries, (), "")


async def test_turns_without_when_are_taken_in_order_then_otherwise():
    talk = Talk()
    assert await talk.say("Good morning") == [Say("Hi, you said Good morning.")]
    assert await talk.say("And?") == [Call("first")]
    assert await talk.output("1") == [Call("second")]
    assert await talk.output("2") == [Say("Done.")]
    assert await talk.say("And now?") == [Say("Pardon?")]


async def test_when_is_a_pattern_and_can_be_used_again():
    talk = Talk()
    for _ in range(2):
        steps = await talk.say("the WEATHER in paris please")
        assert steps == [
            Say("Let me look."),
            Call("get_weather", {"city": "Rome"}),
            Call("get_time"),
        ]
        assert await talk.output("sunny", "{heard}") == [
            Say("It is {heard}. {other}"),
            Call("more"),
        ]
        assert await talk.output("last") == [Say("That was last, last.")]


async def test_a_new_question_drops_what_was_to_follow():
    talk = Talk()
    await talk.say("weather in Rome")
    assert await talk.say("never mind, hello") == [Say("Hi, you said never mind, hello.")]
    assert await talk.output("late") == [Say("Pardon?")]


async def test_parts_of_each_session_begin_at_the_beginning():
    scenario = Scenario.parse(TURNS)
    for _ in range(2):
        parts = scenario.parts()
        first, second = parts.recognizer(()), parts.recognizer(())
        assert await first.finish() == "hello"
        # Tools that change in the middle of a session do not start the script again.
        assert await second.finish() == ""
        assert await parts.mind().answer([], (), "") == [Say("Hi, you said .")]


def test_loads_a_file(tmp_path: Path):
    path = tmp_path / "test.toml"
    path.write_text(TURNS)
    scenario = Scenario.load(path)
    assert scenario == Scenario.parse(TURNS)
    assert scenario.name == "Test"
    assert scenario.faults == (CloseFault(code=1013),)


def test_a_missing_file_is_the_callers_fault(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        Scenario.load(tmp_path / "none.toml")
    assert refused.value.cause == "configuration"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a = 1\nb = ", "talk.toml", "end of document"),
        ("a = 1\nb = [", "talk.toml", "line 2|end of document"),
        ("tunrs = []", "tunrs", "possible are name, turns, otherwise, faults"),
        ("turns = 3", "turns", r"write a list or \[\[turns\]\]"),
        ("[[turns]]\nstep = 1", "turns 1, step:", "possible are heard, when, asked, steps"),
        ('[[turns]]\nwhen = "("', "turns 1, when", "regular expression"),
        ('[[turns]]\nsteps = [{ say = "" }]', "turns 1, steps 1, say:", "at least 1"),
        ('[[turns]]\n[[turns]]\nsteps = [{ sing = "a" }]', "turns 2, steps 1:", "say = "),
        (
            '[[turns]]\nsteps = [{ call = "a", args = {} }]',
            "turns 1, steps 1, args",
            "possible are call, arguments, wait",
        ),
        ('[[faults]]\nkind = "bang"', "faults 1:", "one of close, abort, half_open"),
        ("[[faults]]\nturn = 1", "faults 1:", "'kind' must be"),
        ('[[faults]]\nkind = "close"\ncode = 5', "faults 1, code", "1000"),
        (
            '[[faults]]\nkind = "abort"\ncode = 5',
            "faults 1, code",
            "possible are session, phase, turn, after_chunks, frame, kind, reset",
        ),
    ],
)
def test_mistakes_are_named(text: str, where: str, what: str):
    with pytest.raises(ConfigurationError, match=what) as refused:
        Scenario.parse(text, source="talk.toml")
    assert where in str(refused.value)
    assert str(refused.value).startswith("talk.toml")
    assert "docs/reference/scenarios.md" in str(refused.value)


def test_the_example_of_the_documentation_is_right():
    page = Path(__file__).parents[2] / "docs" / "reference" / "scenarios.md"
    blocks: list[Any] = page.read_text(encoding="utf-8").split("```toml\n")[1:]
    assert len(blocks) >= 2
    for block in blocks:
        assert Scenario.parse(block.split("```")[0], source=page.name)
