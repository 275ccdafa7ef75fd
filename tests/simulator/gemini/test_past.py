"""A conversation told to a new session: as history, in notes, and by a handle."""

import json

import pytest

from realtime_facade.providers.gemini.past import NOTE
from realtime_facade.simulator.gemini.notes import read
from realtime_facade.simulator.parts import Message, ToolOutput
from realtime_facade.simulator.record import OutputGiven

STORY = """
[[turns]]
heard = "Good morning"
steps = [{ say = "Hello there, my friend." }]
[[turns]]
steps = [{ call = "weather" }, { say = "It is {output}, and warm." }]
[[turns]]
heard = "What is it like outside?"
steps = [{ say = "Once upon a time." }]
"""
MORNING = [("user", "Good morning"), ("model", "Hello there, my friend.")]
WEATHER = {"function": "weather", "arguments": {"city": "Rome"}, "call": "c-1"}
HISTORY = {"initialHistoryInClientContent": True}


def note(**more):
    return NOTE + json.dumps({**WEATHER, **more})


async def tell(client, *said, complete=False):
    turns = [{"role": role, "parts": [{"text": text}]} for role, text in said]
    await client.send(clientContent={"turns": turns, "turnComplete": complete})


def words(messages):
    """What was said in these messages."""
    texts = [m.get("serverContent", {}).get("outputTranscription", {}) for m in messages]
    return "".join(text.get("text", "") for text in texts)


@pytest.mark.parametrize("family", ["3.1", "3.8"])
async def test_declared_history_brings_no_answer_and_wants_a_nudge(rig, family):
    client = await (await rig.start(STORY)).connect(family, historyConfig=HISTORY)
    await tell(
        client, *MORNING, ("user", "Weather?"), ("user", note(result="sunny")), complete=True
    )
    await client.send(clientContent={"turnComplete": True})
    assert "modelTurn" not in client.named
    await client.quiet(0.05)
    assert "modelTurn" not in client.named
    await client.send(realtimeInput={"text": NOTE + "Answer now."})
    assert words(await client.until("turnComplete")) == "It is sunny, and warm."
    await client.write("And then?")
    assert words(await client.until("turnComplete")) == "Once upon a time."


async def test_older_models_answer_when_they_are_asked(rig):
    client = await (await rig.start(STORY)).connect("2.5-native")
    await tell(client, *MORNING, ("user", "Weather?"), ("user", note(error="no idea")))
    await client.send(clientContent={"turnComplete": True})
    assert words(await client.until("turnComplete")) == "It is no idea, and warm."


@pytest.mark.parametrize("family", ["2.5-native", "3.8"])
async def test_a_call_of_an_earlier_session_is_answered_later(rig, family):
    client = await (await rig.start(STORY)).connect(family)
    await tell(client, *MORNING, ("user", "Weather?"), ("user", note(status="still running")))
    text = note(result="rain")
    await client.send(realtimeInput={"text": text})
    assert words(await client.until("turnComplete")) == "It is rain, and warm."
    (record,) = rig.simulator.connections
    assert list(record.outputs) == [OutputGiven("c-1", "rain")]
    assert record.conversation[2:] == (
        Message("user", "Weather?"),
        ToolOutput("weather", {"city": "Rome"}, "rain"),
        Message("assistant", "It is rain, and warm."),
    )


async def test_an_unfinished_answer_is_finished(rig):
    client = await (await rig.start(STORY)).connect("3.8")
    await tell(client, MORNING[0], ("model", "Hello there,"))
    await client.send(realtimeInput={"text": NOTE + "Go on exactly where you stopped."})
    assert words(await client.until("turnComplete")) == "my friend."


async def test_what_a_handle_brings_back_need_not_be_heard(rig, speech):
    await rig.start(STORY)
    first = await rig.connect("3.8")
    await first.send(realtimeInput={"text": "Good morning"})
    await first.until("turnComplete")
    await first.send(realtimeInput={"text": "Weather?"})
    call = (await first.until("toolCall"))[-1]
    await first.until("turnComplete")
    await first.answer(call, "sunny")
    assert words(await first.until("turnComplete")) == "It is sunny, and warm."
    await first.send(realtimeInput={"text": "Hm"})
    await first.until("sessionResumptionUpdate")
    handle = first.seen[-1]["sessionResumptionUpdate"]["newHandle"]
    await first.connection.close()
    again = await rig.connect("3.8", sessionResumption={"handle": handle})
    await tell(again, ("model", "Once"))
    await again.send(realtimeInput={"text": NOTE + "Go on exactly where you stopped."})
    assert words(await again.until("turnComplete")) == "upon a time."
    one, two = rig.simulator.connections
    assert two.conversation[: len(one.conversation)][0] == Message("user", "Good morning")
    assert [made.name for made in one.calls] == ["weather"]
    assert [given.output for given in one.outputs] == ["sunny"]


async def test_speech_goes_on_behind_what_was_told(rig, speech):
    client = await (await rig.start(STORY)).connect("3.8", historyConfig=HISTORY)
    await tell(client, *MORNING, ("user", "Weather?"), ("user", note(result="x")),
               ("model", "It is x, and warm."), complete=True)  # fmt: skip
    await client.speak(await speech())
    messages = await client.until("turnComplete")
    (heard,) = [m for m in messages if "inputTranscription" in client.names(m)]
    assert heard["serverContent"]["inputTranscription"]["text"] == "What is it like outside?"
    assert words(messages) == "Once upon a time."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi", [Message("user", "Hi")]),
        ("Hi\nthere", [Message("user", "Hi\nthere")]),
        (NOTE + "Be\nbrief", [Message("system", "Be\nbrief")]),
        (NOTE + "{not json", [Message("system", "{not json")]),
        (NOTE + "[1]", [Message("system", "[1]")]),
        (note(status="still running"), []),
        (
            f"Hi\n{note(result='a')}\n{NOTE}And now?",
            [
                Message("user", "Hi"),
                ToolOutput("weather", {"city": "Rome"}, "a"),
                Message("system", "And now?"),
            ],
        ),
    ],
)
def test_notes_are_told_from_what_was_said(text, expected):
    assert [entry for entry, _ in read("user", text)] == expected
    assert read("model", text) == [(Message("assistant", text), None)]
