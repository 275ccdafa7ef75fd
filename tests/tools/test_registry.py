from typing import Protocol, runtime_checkable

import pytest

from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.inject import Inject
from realtime_facade.tools.registry import Tools


def get_weather(city: str) -> str:
    """Get the weather."""
    return city


def test_a_function_stays_as_it_is_and_becomes_a_tool():
    tools = Tools()

    @tools.action("Look up a word", name="look_up", timeout=2.5, respond=False)
    def look(word: str) -> str:
        return word.upper()

    assert look("a") == "A"
    [tool] = tools
    assert (tool.name, tool.timeout_s, tool.respond) == ("look_up", 2.5, False)
    assert tool.definition.description == "Look up a word"
    assert "look_up" in tools
    assert "look" not in tools


def test_the_docstring_describes_where_nothing_else_does():
    tools = Tools()
    tools.action()(get_weather)
    assert tools.definitions()[0].description == "Get the weather."


def test_response_instruction_is_another_name():
    tools = Tools()
    tools.action("x", response_instruction="Confirm.")(get_weather)
    assert tools.function("get_weather").result_instruction == "Confirm."
    with pytest.raises(ConfigurationError, match="say the same"):
        tools.action("x", result_instruction="a", response_instruction="b")


def test_everything_mixes_under_unique_names():
    mine = Tools([get_weather])
    other = ToolDefinition(name="other")
    tools = Tools([mine, other, [lambda_free]])
    assert tools.names == ["get_weather", "other", "lambda_free"]
    assert tools.function("other") is None
    assert tools.function("get_weather").function is get_weather
    assert len(tools) == 3
    with pytest.raises(ConfigurationError, match="two tools are named 'get_weather'"):
        tools.add(get_weather)


async def lambda_free() -> None: ...


@pytest.mark.parametrize("thing", [3, "get_weather", None, b"x"])
def test_what_is_no_tool_is_refused(thing):
    with pytest.raises(ConfigurationError, match="is no tool"):
        Tools([thing])


def test_action_without_parentheses_says_how_to_write_it():
    with pytest.raises(ConfigurationError, match="instead of a description"):
        Tools().action(get_weather)


def test_a_configuration_takes_tools_in_every_form():
    tools = Tools([get_weather])
    for given in (tools, [tools], [get_weather], (get_weather,), iter([get_weather])):
        assert Tools(RealtimeConfig(tools=given).tools).names == ["get_weather"]
    changed = RealtimeConfig(tools=tools).changed(voice="marin")
    tools.add(lambda_free)
    assert Tools(changed.tools).names == ["get_weather", "lambda_free"], "added later"
    for wrong in ("get_weather", 3, {"a": get_weather}):
        with pytest.raises(ValueError, match="tools are given as"):
            RealtimeConfig(tools=wrong)


class Garden:
    trees = 3


class Orchard(Garden): ...


@runtime_checkable
class HasTrees(Protocol):
    trees: int


def count(garden: Inject[Garden]) -> int:
    return garden.trees


def count_or_not(garden: Inject[Garden] | None = None) -> int:
    return garden.trees if garden else 0


def count_any(garden: Inject[HasTrees]) -> int:
    return garden.trees


def test_what_is_injected_is_never_shown():
    for function in (count, count_or_not, count_any):
        [definition] = Tools([function]).definitions()
        assert definition.parameters["properties"] == {}


@pytest.mark.parametrize("function", [count, count_or_not, count_any])
def test_resources_are_found_by_type(function):
    tool = Tools([function]).function(function.__name__)
    assert tool.function(**tool.inject(["x", Orchard()])) == 3


def test_a_missing_resource_names_its_type_and_the_way_out():
    tools = Tools([count])
    with pytest.raises(ConfigurationError, match="'count' needs a Garden") as caught:
        tools.function("count").inject(["x"])
    assert "context=" in caught.value.advice
    with pytest.raises(ConfigurationError, match="needs a Garden"):
        tools.check_resources(["x"])
    tools.check_resources(["x"], later=[Orchard])
    Tools([count_any]).check_resources([], later=[str])  # only an object could tell


def test_a_parameter_with_a_default_needs_nobody():
    tools = Tools([count_or_not])
    tools.check_resources([])
    assert tools.function("count_or_not").inject([]) == {}


class Plain(Protocol):
    trees: int


@pytest.mark.parametrize("kind", [Plain, list[int]])
def test_a_type_by_which_nothing_can_be_recognized_is_refused(kind):
    def tool(thing) -> None: ...

    tool.__annotations__["thing"] = Inject[kind]
    with pytest.raises(ConfigurationError, match="nothing can be recognized"):
        Tools([tool])
