"""What the user's activity does to an answer, judged by when the answer would be heard."""

import asyncio
from dataclasses import replace

import pytest

from realtime_facade.simulator.clock import ScaledClock

LONG = """
[[turns]]
steps = [{ say = "This is a long answer that nobody wants to hear to its very end, is it not?" }]
[[turns]]
heard = "stop"
steps = [{ say = "I stop. You said {heard}." }]
"""
CALL = """
[[turns]]
steps = [{ say = "Let me look." }, { call = "weather" }, { say = "It is {output}." }]
[[turns]]
heard = "stop"
steps = [{ say = "Never mind." }]
"""


def ends(client):
    """The control messages, in order."""
    control = {"interrupted", "turnComplete", "generationComplete", "toolCallCancellation"}
    return [name for name in client.named if name in control]


def audio_messages(messages):
    return [message for message in messages if "inlineData" in str(message)]


@pytest.mark.parametrize("family", ["2.5-native", "3.1", "3.8", "3.8-extended-thinking"])
async def test_speech_during_generation_cuts_it_short(rig, speech, family):
    client = await (await rig.start(LONG, speed=1)).connect(family)
    await client.write("go")
    await client.until("modelTurn")

    await client.speak(await speech())
    *_, cut = await client.until("interrupted")
    *_, complete = await client.until("turnComplete")

    assert cut == {"serverContent": {"interrupted": True}}
    assert "usageMetadata" in complete
    assert "generationComplete" not in client.named
    if family != "2.5-native":
        order = [n for n in client.named if n in ("voiceActivity", "interrupted")]
        assert order == ["voiceActivity", "interrupted"]
    await client.until("turnComplete")
    assert ends(client)[2:] == ["generationComplete", "turnComplete"]


async def test_no_audio_of_the_old_answer_follows_the_interruption(rig, speech):
    client = await (await rig.start(LONG, speed=1)).connect("3.8")
    await client.write("go")
    await client.until("modelTurn")
    await client.speak(await speech(silence_ms=0))
    await client.until("turnComplete")
    assert audio_messages(await client.quiet()) == []


async def test_speech_after_generation_still_interrupts_what_is_not_yet_heard(rig, speech):
    client = await (await rig.start(LONG, speed=0, clock=ScaledClock(4))).connect("3.8")
    await client.write("go")
    await client.until("generationComplete")
    await client.speak(await speech())
    await client.until("turnComplete")
    assert ends(client) == ["generationComplete", "interrupted", "turnComplete"]


async def test_2_5_has_ended_the_turn_by_then_and_sends_an_empty_pair(rig, speech):
    client = await (await rig.start(LONG, speed=0, clock=ScaledClock(4))).connect("2.5-native")
    await client.write("go")
    await client.until("turnComplete")
    await client.speak(await speech())
    *_, pair = await client.until("turnComplete")
    assert ends(client) == ["generationComplete", "turnComplete", "interrupted", "turnComplete"]
    assert "usageMetadata" not in pair, "the answer was already accounted for"


@pytest.mark.parametrize("family", ["2.5-native", "3.8"])
async def test_speech_after_the_answer_was_heard_interrupts_nothing(rig, speech, family):
    client = await (await rig.start(LONG, speed=0, clock=ScaledClock(4))).connect(family)
    await client.write("go")
    await client.until("turnComplete")
    await rig.simulator._clock.sleep(6.5)
    await client.speak(await speech())
    await client.until("turnComplete")
    assert "interrupted" not in client.named


async def test_writing_after_the_turn_interrupts_nothing_but_during_it_does(rig):
    await rig.start(LONG, speed=0, clock=ScaledClock(4))
    done = await rig.connect("2.5-native")
    await done.write("go")
    await done.until("turnComplete")
    await done.write("on")
    await done.until("turnComplete")
    assert "interrupted" not in done.named

    open_ = await rig.connect("3.8")
    await open_.write("go")
    await open_.until("generationComplete")
    await open_.write("on")
    await open_.until("turnComplete")
    assert ends(open_) == ["generationComplete", "interrupted", "turnComplete"]


async def test_the_history_keeps_what_was_sent(rig, speech):
    conversations = []

    class Mind:
        async def answer(self, conversation, tools, instructions):
            conversations.append(list(conversation))
            return await original(conversation, tools, instructions)

    await rig.start(LONG, speed=1)
    parts = rig.simulator._scenario.parts()
    original = parts.mind().answer
    rig.simulator._parts = replace(parts, mind=Mind)
    client = await rig.connect("3.8")
    await client.write("go")
    await client.until("modelTurn")
    await client.until("modelTurn")
    await client.speak(await speech())
    await client.until("interrupted")
    sent = "".join(
        m["serverContent"]["outputTranscription"]["text"]
        for m in client.seen
        if "outputTranscription" in m.get("serverContent", {})
    )
    await client.until("turnComplete")
    await client.until("turnComplete")
    assert [(entry.role, entry.text) for entry in conversations[-1]] == [
        ("user", "go"),
        ("assistant", sent),
        ("user", "stop"),
    ]
    assert sent.startswith("This is")
    assert not sent.endswith("not?")


async def test_without_interruption_the_new_turn_waits_for_the_old_one(rig, speech):
    client = await (await rig.start(LONG)).connect(
        "3.8", realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"}
    )
    await client.write("go")
    await client.until("modelTurn")
    await client.speak(await speech())
    await client.until("turnComplete")
    await client.until("turnComplete")
    assert ends(client) == ["generationComplete", "turnComplete"] * 2


async def test_a_manual_start_interrupts_too(rig, speech):
    client = await (await rig.start(LONG, speed=1)).connect(
        "2.5-native", realtimeInputConfig={"automaticActivityDetection": {"disabled": True}}
    )
    await client.write("go")
    await client.until("modelTurn")
    await client.send(realtimeInput={"activityStart": {}})
    await client.until("turnComplete")
    assert ends(client) == ["interrupted", "turnComplete"]
    assert await client.quiet() == [], "the user is speaking"
    await client.speak(await speech())
    await client.send(realtimeInput={"activityEnd": {}})
    await client.until("turnComplete")


@pytest.mark.parametrize("family", ["2.5-native", "3.1"])
async def test_speech_during_a_blocking_call_cancels_it(rig, speech, family):
    client = await (await rig.start(CALL)).connect(family, tools=rig.tools(rig.function("weather")))
    await client.write("go")
    *_, call = await client.until("toolCall")

    await client.speak(await speech(silence_ms=0))
    *_, cancellation = await client.until("toolCallCancellation")
    await client.until("turnComplete")

    ids = [c["id"] for c in call["toolCall"]["functionCalls"]]
    assert cancellation == {"toolCallCancellation": {"ids": ids}}
    assert ends(client) == ["toolCallCancellation", "interrupted", "turnComplete"]
    await client.answer(call, "too late")
    assert "modelTurn" not in str(await client.quiet()), "a late answer is ignored"
    await client.send(realtimeInput={"audioStreamEnd": True})
    await client.until("turnComplete")


async def test_a_non_blocking_call_survives_the_interruption(rig, speech):
    client = await (await rig.start(CALL, speed=1)).connect(
        "3.8", tools=rig.tools(rig.function("weather"))
    )
    await client.write("go")
    *_, call = await client.until("toolCall")
    await client.until("modelTurn")
    await client.speak(await speech())
    await client.until("turnComplete")
    assert "toolCallCancellation" not in client.named
    await client.until("turnComplete")
    await client.answer(call, "sunny")
    await client.until("turnComplete")


async def test_an_empty_utterance_between_two_answers_leaves_the_session_alive(rig, speech):
    client = await (await rig.start(LONG)).connect("3.8")
    for _ in range(3):
        await client.speak(await speech("uh"))
    async with asyncio.timeout(5):
        await client.until("generationComplete")
