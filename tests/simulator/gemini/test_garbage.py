"""Whatever a client sends: at worst its own session ends, and never for a reason of ours."""

import asyncio
import json
import logging
import random

import pytest
from websockets.exceptions import ConnectionClosed

WORDS = [
    *("setup", "model", "generationConfig", "tools", "systemInstruction", "functionDeclarations"),
    *("realtimeInput", "realtime_input", "audio", "video", "text", "data", "mimeType"),
    *("mime_type", "mediaChunks", "activityStart", "activityEnd", "audioStreamEnd"),
    *("clientContent", "turns", "parts", "role", "turnComplete", "inlineData", "functionCall"),
    *("toolResponse", "functionResponses", "id", "name", "response", "scheduling"),
    *("willContinue", "contextUpdate", "parameters"),
]
LEAVES = [
    *(None, True, False, 0, -1, 1.5, 1e400, "", "user", "model", "AAAA", "audio/pcm", "hi", "é\0"),
    *("audio/pcm;rate=8000", "INTERRUPT", "fc_1", [], {}, "models/gemini-3.8-live", "x" * 5000),
]


def garbage(chance, depth=0):
    kind = chance.random()
    if depth > 4 or kind < 0.3:
        return chance.choice(LEAVES)
    if kind < 0.45:
        return [garbage(chance, depth + 1) for _ in range(chance.randrange(3))]
    return {chance.choice(WORDS): garbage(chance, depth + 1) for _ in range(chance.randrange(1, 4))}


def near_miss(chance):
    """A sensible message with one thing replaced."""
    turn = {"role": "user", "parts": [{"text": "hi"}]}
    response = {"id": "fc_1", "name": "f", "response": {"output": 1}}
    message = chance.choice(
        [
            {"clientContent": {"turns": [turn], "turnComplete": True}},
            {"realtimeInput": {"audio": {"data": "AAAA", "mimeType": "audio/pcm"}}},
            {"realtimeInput": {"text": "hi"}},
            {"toolResponse": {"functionResponses": [response]}},
            {"contextUpdate": {"tools": {"tools": [{"functionDeclarations": [{"name": "f"}]}]}}},
        ]
    )
    place = message = json.loads(json.dumps(message))
    while True:
        key = chance.choice(list(place)) if isinstance(place, dict) else 0
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.3:
            place[key] = garbage(chance, 3)
            return message
        place = inner


async def send_all(client, frames):
    """Send until the service has had enough; the code of its close, or None."""
    try:
        for frame in frames:
            await client.connection.send(frame)
            await asyncio.sleep(0)
        await client.quiet(0.02)
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else 1006
    return None


def frame_of(chance, message):
    frame = json.dumps(message)
    if chance.random() < 0.05:
        frame = frame[: chance.randrange(len(frame) + 1)]
    return frame.encode() if chance.random() < 0.2 else frame


@pytest.mark.parametrize("seed", range(30))
async def test_garbage_ends_a_session_at_worst(rig, caplog, seed):
    caplog.set_level(logging.ERROR)
    chance = random.Random(seed)
    await rig.start(speed=0)
    for family in rig.models:
        client = await rig.connect(family)
        messages = [
            near_miss(chance) if chance.random() < 0.7 else garbage(chance) for _ in "x" * 9
        ]
        code = await send_all(client, [frame_of(chance, message) for message in messages])
        assert code in (None, 1007, 1008)
    assert not caplog.records, "the simulator itself failed"

    witness = await rig.connect("3.8")
    await witness.write("still there?")
    await witness.until("turnComplete")


@pytest.mark.parametrize("seed", range(10))
async def test_garbage_instead_of_a_setup(rig, caplog, seed):
    caplog.set_level(logging.ERROR)
    chance = random.Random(seed)
    await rig.start()
    for _ in range(5):
        client = await rig.dial()
        setup = rig.setup("3.8") | {chance.choice(list(rig.setup("3.8"))): garbage(chance, 1)}
        code = await send_all(client, [frame_of(chance, {"setup": setup})])
        assert code in (None, 1007, 1008)
    assert not caplog.records
