"""Every form of a tool, over every wire."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from realtime_facade import (
    ConfigurationError,
    ConversationHistory,
    EventBus,
    Inject,
    RealtimeAgent,
    RealtimeConfig,
    RealtimeVoice,
    Session,
    SessionEnded,
    ToolCallCompleted,
    ToolContext,
    ToolDefinition,
    ToolProgress,
    Tools,
    TranscriptDelta,
    TurnEnded,
    builtin_tools,
)
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.simulator.clock import ScaledClock


def calling(name: str, arguments: str = "{}") -> str:
    return f"""
    [[turns]]
    steps = [{{ call = "{name}", arguments = {arguments} }}, {{ say = "Done: {{output}}" }}]
    """


@pytest.fixture
def outcome(start):
    """Lets the model call a tool once; the session's words, and how the call ended."""

    async def run(tools, name, arguments="{}", **settings):
        quick = {"clock": ScaledClock(50.0), "speed": 5}  # one of the models waits for its listener
        async with start(
            calling(name, arguments), tools=tools, simulator=quick, **settings
        ) as talk:
            await talk.session.send_text("please")
            await talk.until(TurnEnded)
            [done] = talk.of(ToolCallCompleted)
            words = [e.full_text for e in talk.of(TranscriptDelta) if e.is_final and e.full_text]
            return done, words

    return run


class CalendarSearchParams(BaseModel):
    query: str = Field(description="What to search for")
    date: str | None = Field(default=None, description="Optional ISO date filter")
    limit: int = Field(default=5, description="Maximum number of matches")
    source: Literal["work", "personal"] = "work"


class PlaySongParams(BaseModel):
    song: str = Field(description="Song title")


@dataclass
class AppState:
    user_name: str
    premium: bool


tools = Tools()


@tools.action("Play a song by name", param_model=PlaySongParams, status="Playing {song} now.")
async def play_song(params: PlaySongParams) -> str:
    return f"Now playing: {params.song}"


@tools.action("Get the current weather for a given city")
async def get_weather(city: str) -> str:
    return f"It's 18°C and partly cloudy in {city}."


@tools.action("Search calendar events", param_model=CalendarSearchParams)
async def search_calendar(params: CalendarSearchParams) -> str:
    return f"{params.limit} about {params.query} at {params.source}, {params.date}"


@tools.action("Search for information")
async def search(
    query: Annotated[str, "The search query"],
    max_results: Annotated[int, "Maximum number of results"] = 5,
) -> str:
    return f"Found {max_results} results for {query}"


@tools.action(
    description="Book a restaurant reservation",
    response_instruction="Confirm the booking details to the user",
)
async def book_restaurant(
    restaurant: Annotated[str, "Restaurant name"],
    time: Annotated[str, "Reservation time (HH:MM)"],
    guests: Annotated[int, "Number of guests"],
) -> str:
    return f"Booked table for {guests} at {restaurant} for {time}"


@tools.action("Summarise the conversation so far")
async def summarise(history: Inject[ConversationHistory]) -> str:
    return history.format()


@tools.action("Greet the user by name")
async def greet(state: Inject[AppState]) -> str:
    tier = "premium" if state.premium else "free"
    return f"Hello {state.user_name}, you are on the {tier} plan."


@tools.action("Everything there is")
def everything(
    bus: Inject[EventBus], session: Inject[Session], call: Inject[ToolContext]
) -> list[bool]:
    return [bus is session.event_bus, session.is_active, call.function_name == "everything"]


@tools.action()
def calculator(expression: str) -> str:
    """Evaluate a math expression."""
    left, right = expression.split("*")
    return str(int(left) * int(right))


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("get_weather", '{ city = "Oslo" }', "It's 18°C and partly cloudy in Oslo."),
        ("search_calendar", '{ query = "dentist", limit = 2 }', "2 about dentist at work, None"),
        ("play_song", '{ song = "Help!" }', "Now playing: Help!"),
        ("search", '{ query = "tea" }', "Found 5 results for tea"),
        (
            "book_restaurant",
            '{ restaurant = "Roma", time = "19:30", guests = 4 }',
            "Booked table for 4 at Roma for 19:30\n\n"
            "[Instruction: Confirm the booking details to the user]",
        ),
        ("summarise", "{}", "User: please"),
        ("greet", "{}", "Hello Alice, you are on the premium plan."),
        ("everything", "{}", "[true,true,true]"),
        ("calculator", '{ expression = "15 * 23" }', "345"),
        ("search_calendar", '{ limit = "many" }', "wrong arguments for search_calendar: "),
    ],
)
async def test_tools_of_every_form_run(outcome, name, arguments, output):
    def setup(voice):
        voice.resources.append(AppState(user_name="Alice", premium=True))

    done, words = await outcome(tools, name, arguments, setup=setup)
    assert done.output.startswith(output)
    assert done.is_error == output.startswith("wrong")
    assert words[-1].startswith("Done: ")


async def test_plain_functions_definitions_and_registries_mix(outcome):
    def search_web(query: str) -> str:
        """Search the web for information."""
        return f"Search results for: {query}"

    definition = ToolDefinition(name="switch_lights", description="Switch the lights.")
    asked = []

    def setup(voice):
        voice.resources.append(AppState("Bob", premium=False))

        @voice.on_tool_call
        async def handle(request):
            asked.append(request.function_name)
            return "done" if request.function_name == "switch_lights" else None

    mixed = [search_web, definition, tools]
    done, _ = await outcome(mixed, "search_web", '{ query = "tea" }', setup=setup)
    assert done.output == "Search results for: tea"
    done, _ = await outcome(mixed, "switch_lights", setup=setup)
    assert done.output == "done"
    done, _ = await outcome(mixed, "greet", setup=setup)
    assert "free plan" in done.output
    assert asked == ["search_web", "switch_lights", "greet"]


async def test_a_phrase_is_spoken_while_a_tool_runs(start, row):
    registry = Tools()
    go = asyncio.Event()

    @registry.action(
        "Search the web for a query", holding_instruction="Let me search that for you."
    )
    async def search_web(query: str) -> str:
        await go.wait()
        return "three results"

    async with start(calling("search_web", '{ query = "x" }'), tools=registry) as talk:
        await talk.session.send_text("please")
        if row.provider == "openai":  # on the other wire the tool's description asks for it
            delta = await talk.until(TranscriptDelta)
            while not delta.is_final:
                delta = await talk.until(TranscriptDelta)
            assert delta.full_text == "Let me search that for you."
            assert talk.of(ToolCallCompleted) == []
        go.set()
        await talk.until(TurnEnded)
        assert len(talk.of(TurnEnded)) == 1
        assert len(talk.of(ToolCallCompleted)) == 1
        assert talk.session.history.turns[-1].text == "Done: three results"


async def test_progress_is_told_to_the_application(start):
    async def find(what: str):
        """Find something."""
        yield f"looking for {what}"
        await asyncio.sleep(0.01)
        yield {"found": what}

    async with start(calling("find", '{ what = "keys" }'), tools=[find]) as talk:
        await talk.session.send_text("please")
        await talk.until(TurnEnded)
        [progress], [done] = talk.of(ToolProgress), talk.of(ToolCallCompleted)
        assert (progress.text, progress.call_id) == ("looking for keys", done.call_id)
        assert done.output == '{"found":"keys"}'


async def test_what_nothing_fills_shows_before_dialling(start):
    with pytest.raises(ConfigurationError, match="tool 'greet' needs a AppState") as caught:
        async with start(calling("greet"), tools=tools):
            pass
    assert "context=" in caught.value.advice


def test_the_context_can_be_given_to_voice_and_agent():
    state = AppState("Alice", premium=True)
    provider = OpenAIProvider(api_key="k")
    assert RealtimeVoice(provider, context=state).resources == [state]
    agent = RealtimeAgent(provider=provider, context=state, tools=tools)
    assert agent.voice.resources == [state, agent]
    assert Tools(agent.config.tools).names == tools.names


async def test_ready_made_tools_answer(outcome, row):
    done, _ = await outcome(
        builtin_tools(), "get_current_time", '{ timezone = "Asia/Tokyo" }', setup=loud
    )
    assert len(done.output.split(":")) == 3
    done, _ = await outcome(builtin_tools(), "adjust_volume", "{ level = 0.4 }", setup=loud)
    assert done.output == "The volume is 40% now."
    done, _ = await outcome(
        builtin_tools("change_assistant_response_speed"),
        "change_assistant_response_speed",
        '{ instructions = "faster" }',
    )
    assert not done.is_error
    expected = "120%" if row.provider == "openai" else "cannot be set here"
    assert expected in done.output


class Loud:
    volume = 1.0


def loud(voice) -> None:
    voice.resources.append(Loud())


async def test_the_assistant_stops_after_its_good_bye(start):
    scenario = """
    [[turns]]
    steps = [{ call = "stop_assistant_run" }, { say = "Good bye." }]
    """
    async with start(scenario, tools=builtin_tools("stop_assistant_run")) as talk:
        await talk.session.send_text("stop")
        ended = await talk.until(SessionEnded)
        assert ended.requested
        assert ended.reason == "the user wanted to stop"
        assert talk.session.history.turns[-1].text == "Good bye."
        assert talk.session.playback.pending_ms == 0


async def test_outputs_that_are_too_long_are_cut(outcome):
    def read() -> str:
        """Read a book."""
        return "word " * 1000

    done, _ = await outcome([read], "read", max_tool_output_chars=200)
    assert "the first 200 of 5000 characters" in done.output
    assert RealtimeConfig().max_tool_output_chars > 10_000
