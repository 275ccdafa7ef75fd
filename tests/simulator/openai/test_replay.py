"""What clients sent in recorded sessions gets the recorded answers, in order and rightly linked."""

from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[4] / "shared" / "recordings" / "openai"

SCENARIOS = {
    "text_in_audio_out_turn": '[[turns]]\nsteps = [{ say = "Hi there!" }]',
    "message_history_seeding": '[[turns]]\nsteps = [{ say = "Blue." }]',
    "tool_call_round": """
    [[turns]]
    steps = [
        { call = "get_weather", arguments = { city = "London" } },
        { say = "{output}" },
    ]
    """,
}
FLOATING = ("delta", "rate_limits.updated")
"""Deltas are compared elsewhere; limits come too seldom in recordings to have a place."""


def load(name: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    path = SHARED / f"{name}.yaml"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    messages: list[dict[str, Any]] = yaml.safe_load(path.read_text())["interactions"]
    return messages


def links(messages: list[dict[str, Any]]) -> list[tuple[str, str | int | None, str | None]]:
    """(type, which item is meant, which item is before it), items numbered as they come up."""
    numbers: dict[str, int] = {}
    found = []
    for message in messages:
        if message["type"].endswith(FLOATING):
            continue
        name = message.get("item_id") or message.get("item", {}).get("id")
        number = numbers.setdefault(name, len(numbers)) if name else None
        previous = message.get("previous_item_id", "absent")
        found.append((message["type"], number, numbers.get(previous, previous)))
    return found


@pytest.mark.parametrize("name", SCENARIOS)
async def test_recorded_session(dial: Any, name: str):
    recording = load(name)
    expected = [entry["data"] for entry in recording if entry["direction"] == "received"]
    sent = [entry["data"] for entry in recording if entry["direction"] == "sent"]
    call_id = None
    async with dial(SCENARIOS[name]) as client:
        for message in sent:
            if message.get("item", {}).get("type") == "function_call_output":
                done = await client.until("response.done")
                call_id = done[-1]["response"]["output"][0]["call_id"]
                message = {**message, "item": {**message["item"], "call_id": call_id}}
            await client.send(message["type"], **{k: v for k, v in message.items() if k != "type"})
        await client.one("response.done")

    assert links(client.received) == links(expected)
    ours, theirs = client.received[-1], expected[-1]
    texts = [m["response"]["output"][0]["content"][0] for m in (ours, theirs)]
    assert texts[0].keys() == texts[1].keys()
