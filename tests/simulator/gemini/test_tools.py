"""Function calls: who waits for whom, by family and by what the client asked for."""

import pytest

from realtime_facade.simulator.gemini import GeminiService

ONE = """
[[turns]]
steps = [
  { say = "Let me look." },
  { call = "weather", arguments = { city = "Paris" } },
  { say = "It is {output}." },
]
"""
TWO = """
[[turns]]
steps = [
  { call = "weather", arguments = { city = "Paris" } },
  { call = "weather", arguments = { city = "Rome" } },
  { say = "Both are {output}." },
]
[[turns]]
steps = [{ say = "Next." }]
"""
CONTROL = {"toolCall", "generationComplete", "turnComplete", "interrupted", "modelTurn"}


def order(client):
    """Control messages and runs of speech."""
    found = [name for name in client.named if name in CONTROL]
    return [n for i, n in enumerate(found) if n != "modelTurn" or found[i - 1 : i] != [n]]


def words(client):
    return "".join(
        message["serverContent"]["outputTranscription"]["text"]
        for message in client.seen
        if "outputTranscription" in message.get("serverContent", {})
    )


@pytest.mark.parametrize(("family", "prefix"), [("2.5-native", "function-call-"), ("3.1", "fc_")])
async def test_a_blocking_call_is_one_turn(rig, family, prefix):
    client = await (await rig.start(ONE)).connect(family, tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    (call,) = message["toolCall"]["functionCalls"]
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    assert call["id"].startswith(prefix)
    assert call["id"].removeprefix(prefix).isdigit()
    assert await client.quiet() == [], "the model waits"

    await client.answer(message, "sunny")
    await client.until("turnComplete")

    expected = ["modelTurn", "toolCall", "modelTurn", "generationComplete", "turnComplete"]
    assert order(client) == expected
    assert words(client) == "Let me look.It is sunny."


async def test_3_x_offers_a_handle_after_tool_answers(rig):
    client = await (await rig.start(ONE)).connect("3.1", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.answer(message, "sunny")
    assert "sessionResumptionUpdate" in await client.receive()


async def test_parallel_calls_come_together_and_all_answers_are_awaited(rig):
    client = await (await rig.start(TWO)).connect(
        "2.5-native", tools=rig.tools(rig.function("weather"))
    )
    await client.write("go")
    *_, message = await client.until("toolCall")
    first, second = message["toolCall"]["functionCalls"]
    assert [first["args"]["city"], second["args"]["city"]] == ["Paris", "Rome"]
    await client.answer({"toolCall": {"functionCalls": [second]}}, "rainy")
    assert await client.quiet() == []
    await client.answer({"toolCall": {"functionCalls": [first]}}, "sunny")
    await client.until("turnComplete")
    assert words(client) == "Both are sunny."


async def test_3_8_goes_on_during_a_call_and_reacts_when_it_is_idle(rig):
    client = await (await rig.start(ONE)).connect("3.8", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.answer(message, "sunny")
    await client.until("turnComplete")
    await client.until("turnComplete")
    assert order(client) == [
        "toolCall",
        *("modelTurn", "generationComplete", "turnComplete"),
        *("modelTurn", "generationComplete", "turnComplete"),
    ]


async def test_non_blocking_parallel_answers_are_used_together(rig):
    client = await (await rig.start(TWO)).connect("3.8", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.until("turnComplete")
    for call in message["toolCall"]["functionCalls"]:
        await client.answer({"toolCall": {"functionCalls": [call]}}, "wet")
    await client.until("turnComplete")
    assert words(client) == "Both are wet."
    assert "modelTurn" not in str(await client.quiet())


async def test_3_8_blocks_when_asked_to(rig):
    declared = rig.tools(rig.function("weather", behavior="BLOCKING"))
    client = await (await rig.start(ONE)).connect("3.8", tools=declared)
    await client.write("go")
    *_, message = await client.until("toolCall")
    assert "generationComplete" not in str(await client.quiet())
    await client.answer(message, "sunny")
    await client.until("turnComplete")
    assert order(client)[:2] == ["modelTurn", "toolCall"]


async def test_3_1_blocks_even_when_asked_not_to(rig):
    declared = rig.tools(rig.function("weather", behavior="NON_BLOCKING"))
    client = await (await rig.start(ONE)).connect("3.1", tools=declared)
    await client.write("go")
    await client.until("toolCall")
    assert await client.quiet() == []


async def test_an_urgent_response_interrupts(rig):
    declared = rig.tools(rig.function("weather", behavior="NON_BLOCKING"))
    client = await (await rig.start(ONE, speed=0)).connect("2.5-native", tools=declared)
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.until("generationComplete")
    await client.answer(message, "sunny", scheduling="INTERRUPT")
    await client.until("turnComplete")
    await client.until("turnComplete")
    assert order(client) == [
        *("toolCall", "modelTurn", "generationComplete", "interrupted", "turnComplete"),
        *("modelTurn", "generationComplete", "turnComplete"),
    ]


async def test_a_silent_response_is_only_remembered(rig):
    client = await (await rig.start(ONE)).connect("3.8", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    *_, before = await client.until("turnComplete")
    await client.answer(message, "s" * 400, scheduling="SILENT")
    assert await client.quiet() == []
    await client.write("and now")
    *_, after = await client.until("turnComplete")
    prompts = [m["usageMetadata"]["promptTokenCount"] for m in (before, after)]
    assert prompts[1] - prompts[0] > 100


async def test_a_response_in_several_parts_is_used_with_the_last(rig):
    client = await (await rig.start(ONE)).connect("3.8", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.until("turnComplete")
    await client.answer(message, "clouds", willContinue=True)
    assert await client.quiet() == []
    await client.answer(message, "sun")
    await client.until("turnComplete")
    assert words(client).endswith("It is sun.")


async def test_extended_thinking_calls_between_two_turns_of_one_interaction(rig):
    client = await (await rig.start(ONE)).connect(
        "3.8-extended-thinking", tools=rig.tools(rig.function("weather"))
    )
    await client.write("go")
    *_, message = await client.until("toolCall")
    await client.answer(message, "sunny")
    await client.until("turnComplete")
    assert order(client) == [
        *("modelTurn", "generationComplete", "turnComplete", "toolCall"),
        *("modelTurn", "generationComplete", "turnComplete"),
    ]
    status = [
        message["serverContent"]["interactionStatus"]
        for message in client.seen
        if "turnComplete" in message.get("serverContent", {})
    ]
    assert status == ["IN_PROGRESS", "IDLE"]


async def test_an_error_reaches_the_mind_like_an_output(rig):
    client = await (await rig.start(ONE)).connect("3.1", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, message = await client.until("toolCall")
    (call,) = message["toolCall"]["functionCalls"]
    response = {"id": call["id"], "name": "weather", "response": {"error": "no such city"}}
    await client.send(toolResponse={"functionResponses": [response]})
    await client.until("turnComplete")
    assert words(client).endswith("It is no such city.")


async def test_audio_during_a_blocking_call_is_refused_by_a_strict_service(rig, speech):
    await rig.start(ONE, gemini=GeminiService(strict_tools=True))
    client = await rig.connect("2.5-native", tools=rig.tools(rig.function("weather")))
    await client.write("go")
    await client.until("toolCall")
    await client.speak(bytes(640))
    assert await client.closing() == (
        1008,
        "Operation is not implemented, or supported, or enabled.",
    )
