import keyword
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic_core import from_json, to_json

from realtime_facade.errors import ConfigurationError, ToolFailed
from realtime_facade.tools.function import FunctionTool


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


def test_descriptions_come_from_the_annotation_or_else_from_the_docstring():
    def play(
        song: Annotated[str, "Its title"],
        volume: Annotated[int, Field(ge=0, le=10, description="How loud")] = 5,
        pace: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        """Play.

        Args:
            song: not this
            volume: not this
            pace: Beats a second.
        """

    properties = FunctionTool.of(play).definition.parameters["properties"]
    assert {name: p["description"] for name, p in properties.items()} == {
        "song": "Its title",
        "volume": "How loud",
        "pace": "Beats a second.",
    }
    assert properties["volume"]["maximum"] == 10
    with pytest.raises(ToolFailed, match="volume: Input should be less than or equal to 10"):
        FunctionTool.of(play).check({"song": "x", "volume": 11})


def test_parameters_may_have_any_name():
    def odd(json: int, copy: int, _id: int, model_config: int, self: int = 0) -> None: ...

    tool = FunctionTool.of(odd)
    assert list(tool.definition.parameters["properties"]) == [
        "json",
        "copy",
        "_id",
        "model_config",
        "self",
    ]
    given = {"json": 1, "copy": 2, "_id": 3, "model_config": 4}
    assert tool.check(given) == {**given, "self": 0}


NAMES = st.text("abcdefgjmnopyz_", min_size=1, max_size=8).filter(
    lambda name: name.isidentifier() and not keyword.iskeyword(name)
)
WORDS = st.text('a "é\n\\', max_size=5)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(),
    "str": WORDS,
    "bool": st.booleans(),
    "list[float]": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    "str | None": st.none() | WORDS,
    "dict[str, int]": st.dictionaries(WORDS, st.integers()),
}


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NAMES, st.sampled_from(sorted(TYPES)), max_size=5), st.data())
def test_what_fits_the_annotations_comes_through_unchanged(parameters, data):
    signature = ", ".join(f"{name}: {kind}" for name, kind in parameters.items())
    made: dict[str, Any] = {}
    exec(f"def tool({signature}): ...", made)  # noqa: S102 - signatures of hypothesis
    tool = FunctionTool.of(made["tool"])
    arguments = {name: data.draw(TYPES[kind], name) for name, kind in parameters.items()}
    assert tool.check(from_json(to_json(arguments))) == arguments
    assert set(tool.definition.parameters["properties"]) == set(parameters)
    assert set(tool.definition.parameters.get("required", ())) == set(parameters)


class Trip(BaseModel):
    """Where to go."""

    target: str = Field(description="A city")
    spans: list[Span] = []
    source: Source = Source.HOME
    nights: int | None = None


async def book(params: Trip) -> str:
    """Book a trip."""
    return params.target


def test_a_param_model_is_the_schema_and_the_function_gets_one_object():
    tool = FunctionTool.of(book, param_model=Trip)
    schema = tool.definition.parameters
    assert set(schema["properties"]) == {"target", "spans", "source", "nights"}
    assert schema["required"] == ["target"]
    assert "Span" in schema["$defs"]
    given = {"target": "Rome", "spans": [{"start": "x"}], "source": "work"}
    assert tool.check(given) == {
        "params": Trip(target="Rome", spans=[Span(start="x")], source=Source.WORK)
    }
    with pytest.raises(ToolFailed, match=r"spans\.0\.start: Field required"):
        tool.check({"target": "Rome", "spans": [{}]})


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("Off to {target}!", "Off to Rome!"),
        ("{{{target}}} for {nights}", "{Rome} for 3"),
        ("{source.value:>6}", "  home"),
        (lambda trip: trip.target[::-1], "emoR"),
    ],
)
def test_a_status_is_made_from_the_checked_parameters(status, says):
    tool = FunctionTool.of(book, param_model=Trip, status=status)
    assert tool.announcement({"target": "Rome", "nights": "3"}).endswith(f": {says}")
    with pytest.raises(ToolFailed):
        tool.announcement({})


def generator(city: str):
    yield city


async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        (book, {"param_model": Trip, "status": "Off to {place}"}, "has {place}, which is no field"),
        (book, {"param_model": Trip, "status": "Off to {}"}, "which is no field"),
        (book, {"param_model": Trip, "status": "Off to {target"}, "is no template"),
        (book, {"status": "Off"}, "has a status and no param_model"),
        (book, {"param_model": dict}, "no pydantic model"),
        (nothing, {"param_model": Trip}, "0 parameters for it"),
        (get_weather, {"param_model": Trip}, "2 parameters for it"),
        (book, {"name": "book a trip"}, "cannot be a tool's name"),
        (book, {"name": "x" * 65}, "cannot be a tool's name"),
        (book, {"timeout": 0}, "impossible"),
        (generator, {}, "sync generator"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(function, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        FunctionTool.of(function, **settings)


def test_types_of_functions_inside_functions_are_found():
    class Size(BaseModel):
        height: int

    def make():
        class Colour(StrEnum):
            RED = "red"

        def paint(size: "Size", colours: "list[Colour]", note: "str" = "") -> "Unknown": ...  # noqa: F821

        return FunctionTool.of(paint)

    schema = make().definition.parameters
    assert schema["$defs"].keys() == {"Size", "Colour"}


def test_a_type_that_is_found_nowhere_is_an_error_at_once():
    def paint(size: "Size") -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(ConfigurationError, match="the type 'Size' of a parameter cannot be found"):
        FunctionTool.of(paint)


def maker():
    def paint(span: "Span") -> None: ...

    return paint


def test_names_of_other_functions_variables_are_not_mixed_up():
    Span = int  # noqa: N806, F841 - of this function, not of the one that made `paint`
    assert "Span" in FunctionTool.of(maker()).definition.parameters.get("$defs", {})


def test_callable_objects_and_partials_are_tools_by_a_name():
    class Player:
        def __call__(self, song: str) -> str:
            """Play a song."""
            return song

    assert FunctionTool.of(Player(), name="play").check({"song": "x"}) == {"song": "x"}
    part = partial(get_weather, unit="F")
    tool = FunctionTool.of(part, name="fahrenheit", description="Weather")
    assert tool.definition.parameters["required"] == ["city"]
