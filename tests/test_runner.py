import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_facade import (
    ConfigurationError,
    HandedOff,
    OpenAIProvider,
    RealtimeAgent,
    RealtimeRunner,
    ServerVAD,
    Session,
    Transcription,
    TurnEnded,
    VADMode,
)
from realtime_facade.events import GuardrailTripped
from realtime_facade.guardrails import GuardrailResult, output_guardrail
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = """
[[turns]]
when = "weather"
steps = [{ call = "get_weather", arguments = { city = "Paris" } }, { say = "{output}" }]
[[turns]]
when = "bill"
steps = [{ call = "transfer_to_billing" }, { say = "Billing speaking." }]
[[turns]]
steps = [{ say = "Hello yourself." }]
"""


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(scenario=Scenario.parse(SCENARIO), speed=50, seed=1) as server:
        yield server


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


def agent(simulator: Simulator | None = None, **settings) -> RealtimeAgent:
    url = simulator.openai_url if simulator is not None else None
    return RealtimeAgent(provider=OpenAIProvider(api_key="x", base_url=url), **settings)


async def ask(session: Session, text: str) -> str:
    events = session.events()
    await session.send_text(text)
    async with asyncio.timeout(5):
        async for event in events:
            if isinstance(event, TurnEnded):
                break
    return session.history.turns[-1].text


async def test_a_session_of_an_agent_with_its_tools(simulator):
    runner = RealtimeRunner(
        starting_agent=agent(simulator, instructions="Be kind.", tools=[get_weather]),
        config={"model_settings": {"voice": "alloy", "modalities": ["text", "audio"]}},
    )
    types = []
    session = await runner.run()
    async with session, asyncio.timeout(5):
        assert (session.config.voice, session.config.instructions) == ("alloy", "Be kind.")
        await session.send_text("How is the weather?")
        async for event in session:
            types.append(event.type)
            if event.type == "turn_ended":
                break
    assert session.history.turns[-1].text == "It is sunny in Paris."
    assert {"tool_call", "audio", "transcript", "response_done"} <= set(types)
    assert not session.is_active


async def test_sessions_of_one_runner_know_nothing_of_each_other(simulator):
    billing = RealtimeAgent(name="billing", instructions="You do bills.")
    runner = RealtimeRunner(agent(simulator, instructions="Be kind.", handoffs=[billing]))
    seen = []
    runner.voice.on(HandedOff)(seen.append)
    first, second = await asyncio.gather(runner.run(), runner.run())
    async with first, second:
        answers = await asyncio.gather(ask(first, "about my bill"), ask(second, "hello"))
        assert answers == ["Billing speaking.", "Hello yourself."]
        assert first.config.instructions == "You do bills."
        assert second.config.instructions == "Be kind."
        assert await ask(second, "and the bill?") == "Billing speaking."
        assert len(first.history) == 2
    assert [(e.from_agent, e.to_agent) for e in seen] == [("assistant", "billing")] * 2


async def test_a_way_back_leads_to_what_the_runner_was_told(simulator):
    billing = RealtimeAgent(name="billing", instructions="You do bills.")
    start = agent(simulator, instructions="The agent's own.", handoffs=[billing])
    billing.handoffs.append(start)
    runner = RealtimeRunner(start, config={"model_settings": {"instructions": "The runner's."}})
    async with await runner.run() as session:
        await ask(session, "my bill")
        assert session.config.instructions == "You do bills."
        tools = session.config.tools
        assert [tool.name for source in tools for tool in source] == ["transfer_to_assistant"]
    assert start.config.instructions == "The agent's own."


async def test_guardrails_of_the_runner_read_everybody_and_an_agent_s_own_only_it(simulator):
    read = []

    @output_guardrail
    def everywhere(ctx, agent, output: str) -> GuardrailResult:
        read.append(("everywhere", output))
        return GuardrailResult(tripwire_triggered="yourself" in output, output_info="Rude")

    @output_guardrail
    def of_billing(text: str) -> bool:
        read.append(("of billing", text))
        return False

    billing = RealtimeAgent(name="billing", guardrails=[of_billing])
    runner = RealtimeRunner(
        agent(simulator, handoffs=[billing]),
        config={
            "output_guardrails": [everywhere],
            "guardrails_settings": {"debounce_text_length": 5},
        },
    )
    async with await runner.run() as session, asyncio.timeout(5):
        events = session.events()
        await session.send_text("hello")
        async for event in events:
            if isinstance(event, GuardrailTripped):
                break
        assert (event.guardrail, event.output_info) == ("everywhere", "Rude")
    assert {who for who, _ in read} == {"everywhere"}
    async with await runner.run() as session:
        assert await ask(session, "my bill") == "Billing speaking."
    assert ("of billing", "Billing speaking.") in read
    assert ("everywhere", "Billing speaking.") in read


def configured(**settings):
    return RealtimeRunner(agent(), config={"model_settings": settings}).config


def test_settings_have_the_names_that_people_know():
    config = configured(
        model_name="gpt-realtime-2.1",
        voice="alloy",
        modalities=["text", "audio"],
        input_audio_format="pcm16",
        output_audio_format="pcm16",
        turn_detection={
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "interrupt_response": False,
        },
        input_audio_transcription={"model": "whisper-1", "language": "en", "prompt": "Names"},
        max_output_tokens=500,
        speed=1.1,
    )
    assert (config.model, config.voice, config.modalities) == (
        "gpt-realtime-2.1",
        "alloy",
        ("audio",),
    )
    assert config.turns == ServerVAD(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)
    assert (config.interrupt_response, config.create_response) == (False, True)
    assert config.transcription == Transcription(model="whisper-1", language="en", prompt="Names")
    assert (config.max_tokens, config.speed) == (500, 1.1)
    assert configured(turn_detection=None).vad_mode is VADMode.MANUAL


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_settings": {"modle_name": "m"}}, "no 'modle_name' in model_settings.*model_name"),
        ({"guardrails_settings": {"length": 5}}, "no 'length' in guardrails_settings"),
        ({"model_setings": {}}, "no 'model_setings' in the runner's config"),
        ({"model_settings": {"speed": 9}}, "speed"),
        ({"model_settings": {"input_audio_format": "g711_ulaw"}}, "audio.g711"),
        ({"model_settings": {"turn_detection": {"type": "telepathy"}}}, "turn_detection"),
    ],
)
def test_what_does_not_exist_is_an_error_at_once(config, message):
    with pytest.raises(ConfigurationError, match=message):
        RealtimeRunner(agent(), config=config)


async def test_a_voice_that_another_agent_wants_is_checked_before_dialling():
    other = RealtimeAgent(name="other", voice="Puck")
    runner = RealtimeRunner(RealtimeAgent(provider=OpenAIProvider(api_key="x"), handoffs=[other]))
    with pytest.raises(ConfigurationError, match="no voice 'Puck'"):
        await runner.run()
