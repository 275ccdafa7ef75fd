"""What the README of a voice agent library shows (document 1), with the names of this package."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from realtime_facade import (
    AgentListener,
    AssistantVoice,
    AudioInputDevice,
    AudioOutputDevice,
    AzureOpenAIProvider,
    ChatMessage,
    ChatToolCall,
    ConfigurationError,
    ConversationSeed,
    EventBus,
    Inject,
    RealtimeAgent,
    SeedMessage,
    SemanticEagerness,
    SemanticVAD,
    ServerVAD,
    SessionStarted,
    Supervisor,
    SupervisorStarted,
    ToolCallCompleted,
    Tools,
    TranscriptDelta,
    TranscriptionModel,
)
from realtime_facade.conversation import ConversationHistory
from realtime_facade.llm import ChatOpenAI
from realtime_facade.tools import ToolContext

from .conftest import spoken

HELLO = '[[turns]]\nheard = "hello there"\nsteps = [{ say = "Hello yourself." }]'


def asking(tool: str, arguments: str = "{}") -> str:
    """The user wants something, and the model asks for a tool."""
    return f"""
    [[turns]]
    heard = "please do it"
    steps = [{{ call = "{tool}", arguments = {arguments} }}, {{ say = "{{output}}" }}]
    """


def assistant_said(result) -> list[str]:
    return [turn.text for turn in result.turns if turn.role == "assistant"]


# -- quickstart ------------------------------------------------------------------------------------


async def test_quickstart_and_ctrl_c(provider, person):
    provider(HELLO)
    agent = RealtimeAgent(instructions="You are Jarvis, a concise and helpful voice assistant.")

    async def press_ctrl_c(event: TranscriptDelta) -> None:
        if event.speaker == "assistant" and event.is_final:
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    agent.event_bus.subscribe(TranscriptDelta, press_ctrl_c)
    person.microphone.words.put_nowait(await spoken("hello there"))
    async with asyncio.timeout(15):
        result = await agent.run()

    assert result.reason == "interrupted"
    assert assistant_said(result) == ["Hello yourself."]
    assert person.heard_s > 0.3


# -- tools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_basic_tools(provider, person, kind):
    provider(asking("get_weather", '{ city = "Oslo" }'))
    tools = Tools()

    if kind == "async":

        @tools.action("Get the current weather for a given city")
        async def get_weather(city: str) -> str:
            return f"It's 18°C and partly cloudy in {city}."
    else:

        @tools.action("Get the current weather for a given city")
        def get_weather(city: str) -> str:
            return f"It's 18°C and partly cloudy in {city}."

    agent = RealtimeAgent(
        instructions="Answer weather questions using get_weather.",
        tools=tools,
    )
    result = await person.run(agent, "please do it")

    assert assistant_said(result) == ["It's 18°C and partly cloudy in Oslo."]
    assert person.heard_s > 1


class CalendarSearchParams(BaseModel):
    query: str = Field(description="What to search for")
    date: str | None = Field(default=None, description="Optional ISO date filter")
    limit: int = Field(default=5, description="Maximum number of matches")
    source: Literal["work", "personal"] = "work"


async def test_pydantic_model_tools(provider, person):
    provider(asking("search_calendar", '{ query = "dentist", source = "personal" }'))
    searched = []

    class calendar:  # noqa: N801 - as an imported module would be named
        @staticmethod
        async def search(**asked) -> str:
            searched.append(asked)
            return "Tuesday at ten."

    tools = Tools()

    @tools.action(
        "Search calendar events",
        param_model=CalendarSearchParams,
    )
    async def search_calendar(params: CalendarSearchParams) -> str:
        return await calendar.search(
            query=params.query,
            date=params.date,
            limit=params.limit,
            source=params.source,
        )

    result = await person.run(RealtimeAgent(tools=tools), "please do it")

    assert searched == [{"query": "dentist", "date": None, "limit": 5, "source": "personal"}]
    assert assistant_said(result) == ["Tuesday at ten."]
    [shown] = tools.definitions()
    properties = shown.parameters["properties"]
    assert properties["query"]["description"] == "What to search for"
    assert properties["source"]["enum"] == ["work", "personal"]
    assert shown.parameters["required"] == ["query"]


async def test_long_running_tools(provider, wire, person):
    provider(asking("search_web", '{ query = "tea" }'))
    tools = Tools()

    async def do_search(query: str) -> str:
        await asyncio.sleep(0.6)  # long enough for the phrase to begin
        return f"Three pages about {query}."

    @tools.action(
        "Search the web for a query",
        holding_instruction="Let me search that for you, give me a moment.",
    )
    async def search_web(query: str) -> str:
        result = await do_search(query)
        return result  # noqa: RET504 - as the document has it

    result = await person.run(RealtimeAgent(tools=tools), "please do it")

    phrase = "Let me search that for you, give me a moment."
    if wire.provider == "openai":
        assert assistant_said(result) == [phrase, "Three pages about tea."]
    else:  # speaks before it calls, where it speaks at all: it was told so
        assert assistant_said(result) == ["Three pages about tea."]
        [shown] = tools.definitions(speaks_while_running=False)
        assert phrase in shown.description


async def test_the_result_is_presented_as_told(provider, person):
    provider(asking("get_headlines"))
    tools = Tools()

    @tools.action(
        "Fetch the latest headlines",
        holding_instruction="Fetching the news...",
        result_instruction="Summarise the headlines in two sentences.",
    )
    async def get_headlines() -> str:
        return "Rain. Trains."

    agent = RealtimeAgent(tools=tools)
    outputs = []
    agent.event_bus.subscribe(ToolCallCompleted, outputs.append)
    await person.run(agent, "please do it")

    assert outputs[0].output.startswith("Rain. Trains.")
    assert "Summarise the headlines in two sentences." in outputs[0].output


class PlaySongParams(BaseModel):
    song: str = Field(description="Song title")


@pytest.mark.parametrize(
    "status",
    ["Playing {song} now.", lambda params: f"Playing {params.song} now."],
    ids=["template", "callable"],
)
async def test_status(provider, wire, person, status):
    provider(asking("play_song", '{ song = "Help" }'))
    tools = Tools()
    played = []

    @tools.action(
        "Play a song by name",
        param_model=PlaySongParams,
        status=status,
    )
    async def play_song(params: PlaySongParams) -> str:
        await asyncio.sleep(0.6)
        played.append(params.song)
        return f"Now playing: {params.song}"

    result = await person.run(RealtimeAgent(tools=tools), "please do it")

    assert played == ["Help"]
    said = assistant_said(result)
    assert said[-1] == "Now playing: Help"
    if wire.provider == "openai":
        assert said[:-1] == ["Playing Help now."]


def test_placeholders_of_a_status_are_checked_at_registration():
    tools = Tools()
    with pytest.raises(ConfigurationError, match="title"):

        @tools.action("Play", param_model=PlaySongParams, status="Playing {title} now.")
        async def play_song(params: PlaySongParams) -> str: ...


# -- injection -------------------------------------------------------------------------------------


@dataclass
class AppState:
    user_name: str
    premium: bool


async def test_context_injection(provider, person):
    provider(asking("summarise"))
    tools = Tools()

    class llm:  # noqa: N801 - as an imported module would be named
        @staticmethod
        async def summarise(text: str) -> str:
            return f"In short: {text}"

    @tools.action("Summarise the conversation so far")
    async def summarise(
        history: Inject[ConversationHistory],
    ) -> str:
        text = history.format()
        return await llm.summarise(text)

    result = await person.run(RealtimeAgent(tools=tools), "please do it")

    assert assistant_said(result) == ["In short: User: please do it"]
    assert tools.definitions()[0].parameters["properties"] == {}


async def test_the_event_bus_and_the_call_are_injected(provider, person):
    provider(asking("inspect"))
    tools = Tools()
    seen = []

    @tools.action("Look around")
    def inspect(bus: Inject[EventBus], call: Inject[ToolContext]) -> str:
        seen.extend([bus, call.function_name])
        return "Seen."

    agent = RealtimeAgent(tools=tools)
    bus = agent.event_bus
    await person.run(agent, "please do it")

    assert seen == [bus, "inspect"]


async def test_custom_application_context(provider, person):
    provider(asking("greet"))
    tools = Tools()

    @tools.action("Greet the user by name")
    async def greet(state: Inject[AppState]) -> str:
        tier = "premium" if state.premium else "free"
        return f"Hello {state.user_name}, you are on the {tier} plan."

    agent = RealtimeAgent(
        instructions="Greet the user when asked.",
        tools=tools,
        context=AppState(user_name="Alice", premium=True),
    )
    result = await person.run(agent, "please do it")

    assert assistant_said(result) == ["Hello Alice, you are on the premium plan."]


# -- supervisor ------------------------------------------------------------------------------------

BOOKING = """
[[turns]]
heard = "a table at Luigi's tomorrow at eight"
steps = [
  { call = "supervisor", arguments = { task = "a table at Luigi's, tomorrow at 20:00" } },
  { say = "For how many people?" },
]
[[turns]]
heard = "for two"
steps = [
  { call = "supervisor", arguments = { task = "a table at Luigi's", answer = "for two" } },
  { say = "{output}" },
]
"""


class ChatServer:
    """Replies as chat completions do, one prepared message after another."""

    def __init__(self, *replies: dict[str, object]) -> None:
        self.replies = list(replies)
        self.requests: list[dict] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.requests.append(json.loads(await reader.readexactly(length)))
        message = {"role": "assistant", "content": None} | self.replies.pop(0)
        body = json.dumps(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 0,
                "model": "gpt-4o-mini",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            }
        ).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        writer.close()


def wants(name: str, **arguments: object) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": f"call_{name}", "type": "function", "function": function}]}


@pytest.fixture
async def chat() -> AsyncIterator[ChatServer]:
    server = ChatServer(
        wants("clarify", question="How many people?"),
        wants("book_table", restaurant="Luigi's", date="tomorrow", time="20:00", party_size=2),
        wants("done", result="A table for two at Luigi's is booked."),
    )
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    yield server
    listening.close()
    await listening.wait_closed()


def booking() -> tuple[Tools, list[tuple]]:
    tools, booked = Tools(), []

    @tools.action("Book a restaurant table")
    async def book_table(
        restaurant: str,
        date: str,
        time: str,
        party_size: int,
    ) -> str:
        booked.append((restaurant, date, time, party_size))
        return f"Booked for {party_size} at {restaurant} on {date} at {time}."

    return tools, booked


async def test_supervisor(provider, person, chat):
    provider(BOOKING)
    tools, booked = booking()
    supervisor = Supervisor(
        description="Books restaurant tables on behalf of the user.",
        holding_instruction="I'm checking availability, just a moment.",
        instructions="Use book_table to complete booking requests. Call done() when finished.",
        tools=tools,
        llm=ChatOpenAI(model="gpt-4o-mini", base_url=chat.url, api_key="simulated"),
    )
    agent = RealtimeAgent(
        instructions="Delegate restaurant bookings to the supervisor.",
        supervisor=supervisor,
    )
    result = await person.run(agent, "a table at Luigi's tomorrow at eight", "for two")

    said = assistant_said(result)
    assert "For how many people?" in said
    assert said[-1].startswith("A table for two at Luigi's is booked.")
    assert booked == [("Luigi's", "tomorrow", "20:00", 2)]
    names = [tool["function"]["name"] for tool in chat.requests[0]["tools"]]
    assert sorted(names) == ["book_table", "clarify", "done"]
    system = chat.requests[0]["messages"][0]
    assert system["role"] == "system"
    assert "Call done() when finished." in system["content"]
    assert {"clarify", "book_table"} <= {
        call["function"]["name"]
        for message in chat.requests[-1]["messages"]
        for call in message.get("tool_calls") or ()
    }


async def test_every_parameter_of_a_supervisor(provider, person):
    provider(asking("supervisor", '{ task = "greet" }'))

    class Model:
        """Any chat model will do."""

        rounds = 0

        async def reply(self, messages, tools):
            Model.rounds += 1
            return ChatMessage(
                "assistant", tool_calls=(ChatToolCall(f"{self.rounds}", "who", "{}"),)
            )

    tools, states = Tools(), []

    @tools.action("Who is it?")
    async def who(state: Inject[AppState]) -> str:
        states.append(state)
        return state.user_name

    agent = RealtimeAgent(
        supervisor=Supervisor(
            description="Greets.",
            instructions="Greet.",
            llm=Model(),
            tools=tools,
            holding_instruction="One moment.",
            result_instructions="Whisper.",
            handoff_instructions="Only for guests.",
            max_iterations=3,
            context=AppState("Bob", premium=False),
        )
    )
    outputs = []
    agent.event_bus.subscribe(ToolCallCompleted, outputs.append)
    await person.run(agent, "please do it")

    [shown] = Tools(agent.config.tools).definitions()
    assert shown.name == "supervisor"
    assert "Greets." in shown.description
    assert "Only for guests." in shown.description
    assert Model.rounds == 3
    assert states == [AppState("Bob", premium=False)] * 3
    assert len(outputs) == 1


# -- seeds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed",
    [
        ConversationSeed(
            messages=[
                SeedMessage.user("My name is Alice and I prefer short answers."),
                SeedMessage.assistant("Got it, Alice. I'll keep things brief."),
            ]
        ),
        ConversationSeed.from_pairs(
            ("My name is Alice.", "Nice to meet you, Alice."),
            ("I prefer short answers.", "Understood, I'll be brief."),
        ),
    ],
    ids=["messages", "pairs"],
)
async def test_conversation_seeds(provider, person, seed):
    simulator = provider(HELLO)
    agent = RealtimeAgent(instructions="You are a helpful assistant.", conversation_seed=seed)
    result = await person.run(agent, "hello there")

    said = [(message.role, message.text) for message in seed.messages]
    known = [(entry.role, entry.text) for entry in simulator.connections[0].conversation]
    assert known[: len(said)] == said, "the model was told"
    assert [turn.seeded for turn in result.turns] == [True] * len(said) + [False, False]
    assert assistant_said(result)[-1] == "Hello yourself."


# -- listener --------------------------------------------------------------------------------------

CALLBACKS = [
    "on_agent_starting",
    "on_agent_session_connected",
    "on_user_started_speaking",
    "on_user_stopped_speaking",
    "on_user_transcript",
    "on_assistant_started_responding",
    "on_assistant_transcript_delta",
    "on_assistant_transcript",
    "on_assistant_stopped_responding",
    "on_agent_interrupted",
    "on_agent_error",
    "on_supervisor_started",
    "on_supervisor_finished",
    "on_user_inactivity_countdown",
    "on_agent_stopped",
]


class MyListener(AgentListener):
    """Notes each callback with its argument."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def all(self, name: str) -> list[object]:
        return [value for called, value in self.calls if called == name]


def _noting(name: str):
    async def note(self: MyListener, value: object = None) -> None:
        self.calls.append((name, value))

    return note


for _name in CALLBACKS:
    setattr(MyListener, _name, _noting(_name))


async def test_lifecycle_listener_and_inactivity(provider, person):
    provider(
        """
        [[turns]]
        heard = "a long story please"
        steps = [
          { call = "supervisor", arguments = { task = "a story" } },
          { say = "Once upon a time there was a king who had a very long story to tell to all." },
        ]
        """
    )

    class Model:
        async def reply(self, messages, tools):
            arguments = '{"result": "It begins."}'
            return ChatMessage("assistant", tool_calls=(ChatToolCall("1", "done", arguments),))

    person.listens_faster = 1
    listener = MyListener()
    agent = RealtimeAgent(
        instructions="You are a helpful assistant.",
        supervisor=Supervisor(description="Tells stories.", llm=Model()),
        inactivity_timeout_enabled=True,
        inactivity_timeout_seconds=2.0,
        listener=listener,
    )

    async def cut_in(event: TranscriptDelta) -> None:
        if event.speaker == "assistant" and event.is_final:
            await asyncio.sleep(0.2)
            await agent.session.interrupt()

    async def fail(event: SupervisorStarted) -> None:
        raise OSError("a handler of the application fails")

    agent.event_bus.subscribe(TranscriptDelta, cut_in)
    agent.event_bus.subscribe(SupervisorStarted, fail)
    person.microphone.words.put_nowait(await spoken("a long story please"))
    async with asyncio.timeout(15):
        result = await agent.run()

    assert result.reason == "inactivity"
    assert {name for name, _ in listener.calls} == set(CALLBACKS)
    assert [name for name, _ in listener.calls[:2]] == CALLBACKS[:2]
    assert listener.calls[-1][0] == "on_agent_stopped"
    assert listener.all("on_user_transcript") == ["a long story please"]
    assert listener.all("on_user_inactivity_countdown")[-2:] == [2, 1]
    [told] = listener.all("on_assistant_transcript")
    assert "".join(map(str, listener.all("on_assistant_transcript_delta"))) == told
    assert "a handler of the application fails" in str(listener.all("on_agent_error")[0])
    assert set(CALLBACKS) == {name for name in dir(AgentListener) if name.startswith("on_")}


# -- devices ---------------------------------------------------------------------------------------


class CustomMicrophone(AudioInputDevice):
    def __init__(self):
        self._active = False
        self._sound: list[bytes] = []

    async def start(self) -> None:
        self._active = True
        self._sound = await spoken("hello there", tail_ms=100)

    async def stop(self) -> None:
        self._active = False

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        while self._active:
            chunk = await self._read_pcm_chunk()
            yield chunk

    @property
    def is_active(self) -> bool:
        return self._active

    async def _read_pcm_chunk(self) -> bytes:
        await asyncio.sleep(0.001)
        self._active = len(self._sound) > 1
        return self._sound.pop(0)


class CustomSpeaker(AudioOutputDevice):
    def __init__(self):
        self._playing = False
        self.sound = bytearray()
        self.cleared = 0

    async def start(self) -> None:
        self._playing = True

    async def stop(self) -> None:
        self._playing = False

    async def play_chunk(self, chunk: bytes) -> None:
        await self._write_to_device(chunk)

    async def clear_buffer(self) -> None:
        await self._flush()

    @property
    def is_playing(self) -> bool:
        return self._playing

    async def _write_to_device(self, chunk: bytes) -> None:
        self.sound += chunk

    async def _flush(self) -> None:
        self.cleared += 1


async def test_custom_audio_devices(provider):
    provider(HELLO)
    speaker = CustomSpeaker()
    agent = RealtimeAgent(
        instructions="...",
        audio_input=CustomMicrophone(),
        audio_output=speaker,
    )
    async with asyncio.timeout(15):
        result = await agent.run()

    assert assistant_said(result) == ["Hello yourself."]
    assert len(speaker.sound) > 24_000
    assert not speaker.is_playing


async def test_a_custom_speaker_is_cleared_on_interruption(provider):
    provider(HELLO)
    speaker = CustomSpeaker()
    agent = RealtimeAgent(audio_input=CustomMicrophone(), audio_output=speaker)

    async def cut_in(event: TranscriptDelta) -> None:
        if event.speaker == "assistant":
            await agent.session.interrupt()

    agent.event_bus.subscribe(TranscriptDelta, cut_in)
    async with asyncio.timeout(15):
        await agent.run()

    assert speaker.cleared > 0


# -- turn detection, voice, model ------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn_detection",
    [
        SemanticVAD(eagerness=SemanticEagerness.LOW),
        ServerVAD(
            threshold=0.5,  # energy threshold 0-1
            prefix_padding_ms=300,  # audio kept before speech onset
            silence_duration_ms=500,  # silence needed to commit end-of-turn
        ),
    ],
    ids=["semantic", "server"],
)
async def test_turn_detection(provider, person, turn_detection):
    provider(HELLO)
    agent = RealtimeAgent(instructions="...", turn_detection=turn_detection)
    assert agent.config.turns == turn_detection
    assert assistant_said(await person.run(agent, "hello there")) == ["Hello yourself."]


def test_eagerness_is_automatic_unless_set():
    assert SemanticVAD().eagerness is SemanticEagerness.AUTO
    assert {*SemanticEagerness} == {"low", "medium", "high", "auto"}


async def test_voice_and_model(provider, wire, person):
    provider(HELLO)
    agent = RealtimeAgent(
        model=wire.model,
        voice=wire.voice,
        speech_speed=1.2,
        instructions="...",
    )
    seen = []

    async def look(event: SessionStarted) -> None:
        seen.extend([event.model, agent.session.config.voice])

    agent.event_bus.subscribe(SessionStarted, look)
    assert assistant_said(await person.run(agent, "hello there")) == ["Hello yourself."]
    assert seen == [wire.model, wire.voice]


async def test_transcription_model_and_modalities(provider, wire, person):
    provider(HELLO)
    agent = RealtimeAgent(
        transcription_model=TranscriptionModel.WHISPER_1, modalities=["text", "audio"]
    )
    told = []

    async def look(event: SessionStarted) -> None:
        told.extend(warning.setting for warning in agent.session.warnings)

    agent.event_bus.subscribe(SessionStarted, look)
    result = await person.run(agent, "hello there")

    assert [turn.text for turn in result.turns] == ["hello there", "Hello yourself."]
    assert person.heard_s > 0.3
    assert any("transcription" in setting for setting in told) == (wire.provider == "gemini")


def test_voices_of_the_document_are_there_as_long_as_they_speak():
    shown = {
        "alloy",
        "ash",
        "ballad",
        "coral",
        "echo",
        "sage",
        "shimmer",
        "verse",
        "cedar",
        "marin",
    }
    assert {AssistantVoice[name.upper()].value for name in shown} == shown


# -- recording -------------------------------------------------------------------------------------


async def test_recording(provider, person, tmp_path, monkeypatch):
    provider(HELLO)
    monkeypatch.chdir(tmp_path)
    person.listens_faster = 1
    agent = RealtimeAgent(
        instructions="...",
        recording_path="session.pcm",
    )
    result = await person.run(agent, "hello there")

    assert result.recording_path == Path("session.pcm")
    assert result.recording_path.stat().st_size > 48_000
    assert [(turn.role, turn.text) for turn in result.turns] == [
        ("user", "hello there"),
        ("assistant", "Hello yourself."),
    ]
    assert result.usage.total > 0


# -- Azure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["given", "environment"])
async def test_azure(simulator, person, monkeypatch, key):
    server = simulator(HELLO, wires=("openai",), speed=20)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REALTIME_VOICE_PROVIDER"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-the-environment")
    with pytest.warns(DeprecationWarning, match="api_version"):
        azure = AzureOpenAIProvider(
            azure_endpoint=server.openai_url.removesuffix("/v1").replace("ws://", "http://"),
            azure_deployment="gpt-4o-realtime-preview",
            api_version="2024-12-17",
            api_key="..." if key == "given" else None,
        )
    agent = RealtimeAgent(
        instructions="...",
        provider=azure,
        transcription_model="my-whisper",
    )
    result = await person.run(agent, "hello there")

    assert [(turn.role, turn.text) for turn in result.turns] == [
        ("user", "hello there"),
        ("assistant", "Hello yourself."),
    ]
    assert agent.voice.provider_name == "azure"
