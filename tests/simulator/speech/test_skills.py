from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.speech.skills import Skill, answer_to, question_for
from realtime_facade.simulator.speech.slots import Kind, slots_of
from realtime_facade.simulator.speech.words import find_words
from realtime_facade.tools.definition import ToolDefinition

NOW = datetime(2026, 11, 20, 10, 0)


def tool(name: str, description: str = "", **parameters: dict[str, Any]) -> ToolDefinition:
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return ToolDefinition(name=name, description=description, parameters=schema)


def slot(name: str, schema: dict[str, Any]):
    return slots_of(tool("t", **{name: schema}))[0]


@pytest.mark.parametrize(
    ("name", "schema", "kind"),
    [
        ("city", {"type": "string"}, Kind.PLACE),
        ("query", {"type": "string"}, Kind.TEXT),
        ("due_date", {"type": "string"}, Kind.MOMENT),
        ("start", {"type": "string", "format": "date-time"}, Kind.MOMENT),
        ("minutes", {"type": "integer"}, Kind.SPAN),
        ("duration", {"type": "number", "description": "In seconds"}, Kind.SPAN),
        ("count", {"type": "integer"}, Kind.NUMBER),
        ("on", {"type": "boolean"}, Kind.SWITCH),
        ("size", {"enum": ["small", "large"]}, Kind.CHOICE),
        ("expression", {"type": "string"}, Kind.SUM),
        ("options", {"type": "object"}, Kind.UNSPEAKABLE),
        ("city", {"anyOf": [{"type": "string"}, {"type": "null"}]}, Kind.PLACE),
    ],
)
def test_the_schema_says_how_a_value_is_spoken(name: str, schema: dict[str, Any], kind: Kind):
    assert slot(name, schema).kind is kind


def test_a_reference_is_followed():
    definition = ToolDefinition(
        name="order",
        parameters={
            "type": "object",
            "properties": {"size": {"$ref": "#/$defs/Size"}, "loop": {"$ref": "#/$defs/Loop"}},
            "$defs": {
                "Size": {"enum": ["small", "large"]},
                "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}]},
            },
        },
    )
    size, loop = slots_of(definition)
    assert size.kind is Kind.CHOICE
    assert not loop.required


@pytest.mark.parametrize(
    ("name", "text", "arguments"),
    [
        ("get_weather", "What is the weather in Paris?", [{"city": "Paris"}]),
        ("get_weather", "weather in springfield please", [{"city": "Springfield"}]),
        ("get_weather", "weather in new york and Tokyo", [{"city": "New York"}, {"city": "Tokyo"}]),
        ("set_timer", "set a timer for twenty five minutes", [{"minutes": 25}]),
        ("set_timer", "set a timer for an hour and a half", [{"minutes": 90}]),
        ("set_timer", "set a 5 minute timer", [{"minutes": 5}]),
        ("set_timer", "timer for one hour and ten minutes", [{"minutes": 70}]),
        ("turn_light", "turn the light on", [{"on": True}]),
        ("turn_light", "turn off the light", [{"on": False}]),
        (
            "search_web",
            "search the web for cheap Flights to Rome",
            [{"query": "cheap Flights to Rome"}],
        ),
        ("calculator", "what is two plus three times four", [{"expression": "2 + 3 * 4"}]),
        ("calculator", "calculate 2.5 / 5", [{"expression": "2.5 / 5"}]),
        ("adjust_volume", "set the volume to fifty percent", [{"level": 0.5}]),
        ("select_speaker", "the rear right speaker", [{"position": "rear right"}]),
        ("get_order_status", "status of order four two seven", [{"order_id": 427}]),
        (
            "book_appointment",
            "book an appointment for tomorrow at three p.m. for a haircut",
            [{"date": "tomorrow", "time": "three p.m", "service": "haircut"}],
        ),
    ],
)
def test_a_sentence_becomes_a_call(
    tools: dict[str, ToolDefinition], name: str, text: str, arguments: list[dict[str, Any]]
):
    words = find_words(text)
    skills = [Skill(definition) for definition in tools.values()]
    best = max(skills, key=lambda skill: skill.score(words, NOW))
    assert best.tool.name == name
    found = best.arguments(best.fill(words, NOW).values)
    assert found == arguments
    for call, expected in zip(found, arguments, strict=True):
        assert [type(value) for value in call.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize("text", ["tell me a story about a dragon", "how are you", "", "stop"])
def test_other_sentences_fit_no_tool(tools: dict[str, ToolDefinition], text: str):
    assert all(Skill(each).score(find_words(text), NOW) < 3 for each in tools.values())


def test_a_list_takes_all_values():
    definition = tool(
        "mix",
        "Mix colours.",
        colours={"type": "array", "items": {"enum": ["red", "green", "blue"]}},
    )
    skill = Skill(definition)
    filled = skill.fill(find_words("mix red and blue"), NOW)
    assert skill.arguments(filled.values) == [{"colours": ["red", "blue"]}]


def test_two_places_are_told_apart_by_their_prepositions():
    definition = tool("find_route", origin={"type": "string"}, destination={"type": "string"})
    skill = Skill(definition)
    filled = skill.fill(find_words("find a route to rome from paris"), NOW)
    assert skill.arguments(filled.values) == [{"origin": "Paris", "destination": "Rome"}]


def test_choices_with_digits_are_understood_spoken_and_typed():
    definition = tool("pick", "Pick a model.", model={"enum": ["gpt4", "gpt5"]})
    skill = Skill(definition)
    for text in ("pick the model gpt five", "pick the model gpt5"):
        assert skill.fill(find_words(text), NOW).values == {"model": ["gpt5"]}


def test_a_date_format_gets_an_iso_date():
    definition = tool("plan", "Plan a day.", day={"type": "string", "format": "date"})
    assert Skill(definition).fill(find_words("plan tomorrow"), NOW).values == {
        "day": ["2026-11-21"]
    }


def test_the_first_missing_required_parameter_is_named(tools: dict[str, ToolDefinition]):
    skill = Skill(tools["book_appointment"])
    missing = skill.missing(skill.fill(find_words("book an appointment tomorrow"), NOW).values)
    assert missing is not None
    assert missing.name == "time"


@pytest.mark.parametrize(
    ("name", "schema", "text", "values"),
    [
        ("city", {"type": "string"}, "Paris, please.", ["Paris"]),
        ("city", {"type": "string"}, "springfield", ["Springfield"]),
        ("note", {"type": "string"}, "Milk and Eggs.", ["Milk and Eggs"]),
        ("minutes", {"type": "integer"}, "half an hour", [30]),
        ("minutes", {"type": "integer"}, "ten", [10]),
        ("count", {"type": "number"}, "two point five", [2.5]),
        ("on", {"type": "boolean"}, "off", [False]),
        ("size", {"enum": ["small", "large"]}, "the large one", ["large"]),
        ("size", {"enum": ["small", "large"]}, "no idea", []),
        ("note", {"type": "string"}, " ... ", []),
    ],
)
def test_an_answer_is_a_value(name: str, schema: dict[str, Any], text: str, values: list[Any]):
    assert answer_to(slot(name, schema), text, NOW) == values


def test_every_kind_can_be_asked_for():
    for definition in (
        {"type": "string"}, {"type": "boolean"}, {"type": "integer"}, {"enum": ["a", "b"]}
    ):  # fmt: skip
        assert question_for(slot("thing", definition)).endswith(("?", "."))


@given(st.text(max_size=60))
def test_no_sentence_breaks_a_skill(text: str):
    definition = tool(
        "book_table",
        "Book a table. " + text,
        city={"type": "string"},
        time={"type": "string"},
        guests={"type": "integer"},
        note={"type": "string"},
        smoking={"type": "boolean"},
        kind={"enum": [text, None, 3, True]},
    )
    skill = Skill(definition)
    words = find_words(text)
    skill.score(words, NOW)
    filling = skill.fill(words, NOW)
    assert filling.used <= set(range(len(words)))
    assert len(skill.arguments(filling.values)) <= 4
