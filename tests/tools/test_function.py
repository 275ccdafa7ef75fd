from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from realtime_facade.errors import ConfigurationError, ToolFailed
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.function import FunctionTool, ToolSet, as_output


def get_weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Get the current weather for a city.

    Looks at a thermometer.

    Args:
        city: Where to look.
        unit: Of the answer.
    """
    return f"18 {unit} in {city}"


class Source(StrEnum):
    WORK = "work"
    HOME = "home"


class Span(BaseModel):
    start: str = Field(description="ISO date")
    days: int = 1


async def search(
    query: Annotated[str, "The search query"],
    span: Span,
    title: str | None = None,
    sources: list[Source] = [Source.WORK],  # noqa: B006 - never changed
) -> list[Any]:
    return [query, span, title, sources]


def test_signature_and_docstring_become_the_definition():
    definition = FunctionTool.of(get_weather).definition
    assert definition.name == "get_weather"
    assert definition.description == (
        "Get the current weather for a city.\n\nLooks at a thermometer."
    )
    assert definition.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "city": {"type": "string", "description": "Where to look."},
            "unit": {
                "type": "string",
                "enum": ["C", "F"],
                "default": "C",
                "description": "Of the answer.",
            },
        },
        "required": ["city"],
    }


def test_nested_models_enums_and_annotated_descriptions_are_described():
    parameters = FunctionTool.of(search).definition.parameters
    assert parameters["required"] == ["query", "span"]
    assert parameters["properties"]["query"] == {
        "type": "string",
        "description": "The search query",
    }
    assert parameters["$defs"]["Span"]["properties"]["start"]["description"] == "ISO date"
    assert parameters["$defs"]["Source"]["enum"] == ["work", "home"]
    assert set(parameters["properties"]) == {"query", "span", "title", "sources"}


def test_arguments_get_their_types():
    arguments = FunctionTool.of(search).check(
        {"query": "x", "span": {"start": "2026-01-01"}, "sources": ["home"]}
    )
    assert arguments == {
        "query": "x",
        "span": Span(start="2026-01-01"),
        "title": None,
        "sources": [Source.HOME],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "city: Field required"),
        ({"city": 5}, "city: Input should be a valid string"),
        ({"city": "x", "town": "y"}, "town: Extra inputs"),
    ],
)
def test_wrong_arguments_tell_the_model_what_to_correct(arguments, message):
    with pytest.raises(ToolFailed, match=message) as caught:
        FunctionTool.of(get_weather).check(arguments)
    assert caught.value.code == "invalid_arguments"


def variadic(*names: str) -> None: ...


def opaque(thing: type(print)) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda city: city, "needs a name"),
        (variadic, "cannot be given by name"),
        (opaque, "no JSON form"),
    ],
)
def test_functions_that_cannot_be_tools_are_refused(function, message):
    with pytest.raises(ConfigurationError, match=message):
        FunctionTool.of(function)


def test_a_method_is_a_tool_without_its_self():
    class Player:
        def play(self, song: str) -> str:
            """Play a song."""
            return song

    tool = FunctionTool.of(Player().play)
    assert list(tool.definition.parameters["properties"]) == ["song"]


def test_a_set_holds_functions_and_definitions_under_unique_names():
    tools = ToolSet([get_weather, ToolDefinition(name="other")])
    assert [d.name for d in tools.definitions] == ["get_weather", "other"]
    assert list(tools.functions) == ["get_weather"]
    with pytest.raises(ConfigurationError, match="two tools are named 'get_weather'"):
        ToolSet([get_weather, get_weather])


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Span(start="x"), '{"start":"x","days":1}'),
        (None, "null"),
        (3.5, "3.5"),
        (Source, "<enum 'Source'>"),
    ],
)
def test_results_become_text(result, text):
    assert as_output(result).strip('"') == text
