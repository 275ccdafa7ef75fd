"""Every message has the fields of its recorded counterpart, and the vendor's types accept it."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[4] / "shared" / "recordings"

SCENARIO = """
[[turns]]
heard = "how is the weather"
steps = [
    { say = "Let me look." },
    { call = "get_weather", arguments = { city = "Rome" } },
    { say = "It is {output}." },
]
[[turns]]
heard = "and now a long story"
steps = [{ say = "Once upon a time there was a man who told a story that went on for ever." }]
[[turns]]
heard = "stop"
steps = [{ say = "Yes?" }]
"""
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
NOT_RECORDED = {
    "conversation.item.deleted",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "error",
    "input_audio_buffer.cleared",
    "rate_limits.updated",
}
"""Types that no recording of this model holds; the vendor's types judge them alone."""

UNRECORDED_PARTS = {
    ("response.done", "response.status_details<cancelled>"): "no cancelled answer was recorded",
}


async def everything(dial: Any, speech: bytes) -> list[dict[str, Any]]:
    """A conversation in which every message type of the simulator occurs."""
    async with dial(SCENARIO, speed=20) as client:
        sound = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}
        await client.configure(tools=[TOOL], audio=sound)
        await client.speak(speech)
        done = await client.until("response.done")
        call = done[-1]["response"]["output"][1]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "fine"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        await client.until("rate_limits.updated")
        await client.speak(speech)
        await client.until("response.output_audio.delta")
        await client.speak(speech)
        cut = (await client.until("response.done"))[-1]["response"]["output"][0]
        at = {"item_id": cut["id"], "content_index": 0, "audio_end_ms": 20}
        await client.send("conversation.item.truncate", **at)
        await client.until("response.done")
        await client.send("conversation.item.retrieve", item_id=cut["id"])
        await client.send("conversation.item.delete", item_id=cut["id"])
        await client.send("input_audio_buffer.clear")
        await client.send("no.such.type", event_id="mine")
        await client.configure(output_modalities=["text"])
        await client.write("Hello")
        await client.send("response.create")
        await client.until("response.done")
        received: list[dict[str, Any]] = client.received
        return received


@pytest.fixture(scope="session")
def recorded() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    files = sorted((SHARED / "openai").glob("*turn.yaml")) if SHARED.is_dir() else []
    files += [SHARED / "openai" / "tool_call_round.yaml"] if files else []
    if not files:
        pytest.skip(f"no recordings at {SHARED}")
    return [
        interaction["data"]
        for file in files
        for interaction in yaml.safe_load(file.read_text())["interactions"]
        if interaction["direction"] == "received"
    ]


def shapes(value: Any, path: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """(place, keys) of every object in a message; a place names the types on the way to it."""
    if isinstance(value, list):
        for entry in value:
            yield from shapes(entry, f"{path}[]")
    elif isinstance(value, dict):
        if path and isinstance(value.get("type"), str):
            path += f"<{value['type']}>"
        if "status" in value and "role" in value:
            path += f"<{value['role']}>"
        yield path, frozenset(value)
        for key, entry in value.items():
            if key != "parameters":
                yield from shapes(entry, f"{path}.{key}".lstrip("."))


def by_place(messages: list[dict[str, Any]]) -> dict[tuple[str, str], set[frozenset[str]]]:
    found: dict[tuple[str, str], set[frozenset[str]]] = defaultdict(set)
    for message in messages:
        for place, keys in shapes(message):
            found[message["type"], place].add(keys)
    return found


async def test_same_fields_as_recorded(dial: Any, speech: bytes, recorded: list[dict[str, Any]]):
    ours = by_place(await asyncio.wait_for(everything(dial, speech), 30))
    theirs = by_place(recorded)

    assert {kind for kind, _ in ours} - {kind for kind, _ in theirs} == NOT_RECORDED
    wrong = {
        place: (keys, theirs[place])
        for place, keys in ours.items()
        if place[0] not in NOT_RECORDED
        and place not in UNRECORDED_PARTS
        and not keys <= theirs.get(place, set())
    }
    assert not wrong
    assert {kind for kind, _ in theirs} <= {kind for kind, _ in ours}


async def test_the_vendors_types_accept_every_message(dial: Any, speech: bytes):
    pytest.importorskip("openai")
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    for message in await asyncio.wait_for(everything(dial, speech), 30):
        parsed = adapter.validate_json(json.dumps(message))
        assert parsed.type == message["type"]


async def test_azure_says_parts_twice_and_no_rate_limits(dial: Any):
    scenario = '[[turns]]\nsteps = [{ say = "Hi." }]'
    async with dial(scenario, path="/openai/v1/realtime?model=gpt-realtime") as client:
        await client.send("response.create")
        await client.until("response.done")
        await client.send("input_audio_buffer.clear")
        await client.one("input_audio_buffer.cleared")

    parts = [m for m in client.received if m["type"].startswith("response.content_part")]
    assert len(parts) == 2
    assert all(part["content"] == part["part"] for part in parts)
    assert "rate_limits.updated" not in {message["type"] for message in client.received}
