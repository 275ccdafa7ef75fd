import json
from datetime import datetime

import pytest

from realtime_facade.simulator.parts import Call, Entry, Message, Say, Step, ToolOutput
from realtime_facade.simulator.speech.report import report
from realtime_facade.simulator.speech.wits import LocalMind, spoken_time
from realtime_facade.tools.definition import ToolDefinition


class Talk:
    """A conversation with a mind at five past three in the afternoon."""

    def __init__(self, tools: dict[str, ToolDefinition]) -> None:
        self.tools = tuple(tools.values())
        self.mind = LocalMind(clock=lambda: datetime(2026, 11, 20, 15, 5))
        self.conversation: list[Entry] = []

    async def say(self, text: str) -> list[Step]:
        return await self.hear(Message("user", text))

    async def hear(self, *entries: Entry, instructions: str = "") -> list[Step]:
        self.conversation += entries
        return list(await self.mind.answer(self.conversation, self.tools, instructions))


@pytest.fixture
def talk(tools: dict[str, ToolDefinition]) -> Talk:
    return Talk(tools)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Hello!", "Hello! What can I do for you?"),
        ("what time is it", "It is three oh five in the afternoon."),
        ("What's the time, please?", "It is three oh five in the afternoon."),
        ("what day is it", "Today is Friday, November 20."),
        ("repeat after me the Train leaves at Noon", "The Train leaves at Noon."),
        ("please say hello world", "Hello world."),
        ("thanks", "You are welcome."),
        ("goodbye", "Goodbye!"),
        ("stop", "All right."),
        ("", "I could not hear you. Could you say that again?"),
    ],
)
async def test_small_talk(talk: Talk, text: str, answer: str):
    assert await talk.say(text) == [Say(answer)]


async def test_help_tells_what_the_tools_are_for(talk: Talk):
    [step] = await talk.say("What can you do?")
    assert isinstance(step, Say)
    assert "get the weather of a city" in step.text


@pytest.mark.parametrize(
    "text",
    [
        "what is the weather in london",
        "stop please what is the weather in london",
        "No, wait: what is the weather in London, please?",
    ],
)
async def test_a_request_calls_a_tool(talk: Talk, text: str):
    assert await talk.say(text) == [Call("get_weather", {"city": "London"})]


async def test_two_cities_are_two_calls(talk: Talk):
    assert await talk.say("weather in paris and rome") == [
        Call("get_weather", {"city": "Paris"}),
        Call("get_weather", {"city": "Rome"}),
    ]


async def test_a_missing_argument_is_asked_for(talk: Talk):
    assert await talk.say("what's the weather") == [Say("Which city?")]
    assert await talk.say("Paris, please") == [Call("get_weather", {"city": "Paris"})]


async def test_several_missing_arguments_are_asked_for_in_turn(talk: Talk):
    assert await talk.say("book an appointment for a haircut") == [Say("Which date?")]
    assert await talk.say("tomorrow") == [Say("Which time?")]
    assert await talk.say("at noon") == [
        Call("book_appointment", {"date": "tomorrow", "time": "noon", "service": "haircut"})
    ]


async def test_a_free_argument_may_be_anything(talk: Talk):
    assert await talk.say("search the web") == [Say("What is the query?")]
    assert await talk.say("the weather on Mars") == [
        Call("search_web", {"query": "the weather on Mars"})
    ]


async def test_an_unusable_answer_is_asked_for_again(talk: Talk):
    await talk.say("turn the light")
    assert await talk.say("purple monkeys") == [Say("I did not get that. On or off?")]
    assert await talk.say("on") == [Call("turn_light", {"on": True})]


async def test_another_request_is_no_answer(talk: Talk):
    await talk.say("set a timer")
    assert await talk.say("what is the weather in rome") == [Call("get_weather", {"city": "Rome"})]
    assert await talk.say("five minutes") != [Call("set_timer", {"minutes": 5})]


async def test_a_question_can_be_declined(talk: Talk):
    await talk.say("set a timer")
    assert await talk.say("never mind") == [Say("All right.")]


async def test_what_resembles_a_request_is_offered(talk: Talk):
    [step] = await talk.say("what's the wether")
    assert step == Say("I am sorry, I did not understand. Did you mean: what is the weather?")
    assert await talk.say("yes") == [Say("Which city?")]


async def test_what_it_cannot_do_is_said(talk: Talk):
    [step] = await talk.say("paint me a picture of dragons in love")
    assert isinstance(step, Say)
    assert step.text.startswith("I am sorry, I cannot help with that. I can tell the time,")


async def test_an_unspeakable_argument_is_refused():
    schema = {
        "type": "object",
        "properties": {"config": {"type": "object"}},
        "required": ["config"],
    }
    deploy = ToolDefinition(name="deploy", description="Deploy the site.", parameters=schema)
    steps = await Talk({"deploy": deploy}).say("deploy the site")
    assert steps == [Say("I cannot deploy the site: its config is nothing that can be spoken.")]


async def test_the_same_words_get_the_same_answer(tools: dict[str, ToolDefinition]):
    texts = ["hello", "turn the light", "off", "what is the wether", "yes"]
    first, second = Talk(tools), Talk(tools)
    assert [await first.say(t) for t in texts] == [await second.say(t) for t in texts]


async def test_all_tool_outputs_are_spoken(talk: Talk):
    steps = await talk.hear(
        Message("user", "weather in paris and rome"),
        ToolOutput("get_weather", {"city": "Paris"}, "It is sunny."),
        ToolOutput("get_weather", {"city": "Rome"}, '{"temperature": 18.0, "rain": false}'),
    )
    assert steps == [Say("It is sunny. The temperature is 18. The rain is no.")]


async def test_nobody_has_spoken_yet(talk: Talk):
    assert await talk.hear(instructions="Be brief.") == [Say("Hello! What can I do for you?")]


@pytest.mark.parametrize(
    "wish", ['Say exactly: "Welcome back, Ann."', "Tell the user that Welcome back, Ann."]
)
async def test_what_instructions_want_said_is_said(talk: Talk, wish: str):
    assert await talk.hear(instructions=wish) == [Say("Welcome back, Ann.")]
    assert await talk.hear(Message("system", wish)) == [Say("Welcome back, Ann.")]


@pytest.mark.parametrize(
    ("hour", "minute", "text"),
    [
        (0, 0, "twelve o'clock in the morning"),
        (9, 5, "nine oh five in the morning"),
        (15, 30, "three thirty in the afternoon"),
        (20, 0, "eight p.m."),
    ],
)
def test_the_time_is_said_in_words(hour: int, minute: int, text: str):
    assert spoken_time(datetime(2026, 1, 1, hour, minute)) == text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("It is sunny.", "It is sunny."),
        ("", "That is done."),
        ("null", "That is done."),
        ('"as text"', "as text"),
        ("42", "42."),
        ("[]", "There is nothing."),
        ('["a", "b"]', "A and b."),
        ('{"error": "no such city"}', "That did not work: no such city."),
        (
            '{"wind": {"speed": 3, "gusts": null}}',
            "The wind speed is 3. The wind gusts is not known.",
        ),
        ('[{"name": "Ann", "age": 3}]', "Name Ann and age 3."),
        ("{broken", "{broken"),
    ],
)
def test_an_output_is_phrased(output: str, text: str):
    assert report(output) == text


def test_a_long_output_is_cut():
    assert report("word " * 1000).endswith("and so on.")
    assert len(report(json.dumps({f"key{n}": "x" * 2000 for n in range(50)}))) < 5_000


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([Message("user", "thank you"), Message("system", "Answer now.")], "You are welcome."),
        ([Message("user", "thank you"), Message("assistant", "You are")], "welcome."),
        (
            [Message("user", "thank you"), Message("assistant", "You"), Message("system", "Go on")],
            "are welcome.",
        ),
        (
            [Message("user", "thank you"), Message("assistant", "You are welcome.")],
            "I am listening.",
        ),
        ([Message("user", "thank you"), Message("assistant", "Never mind.")], "I am listening."),
        ([Message("assistant", "Hello!")], "I am listening."),
        ([Message("system", "Be brief.")], "Hello! What can I do for you?"),
    ],
)
async def test_a_conversation_from_elsewhere_goes_on(talk: Talk, known: list[Entry], said: str):
    assert await talk.hear(*known) == [Say(said)]
