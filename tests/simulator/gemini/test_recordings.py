"""Messages of a type have the fields that recorded messages of the real service have."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings" / "gemini"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recorded sessions are not beside the project"
)
OPTIONAL = {
    "usageMetadata.thoughtsTokenCount": "only where thoughts were sent, there as here",
    "toolCall.functionCalls.args.*": "the arguments are the function's own",
}
TALK = """
[[turns]]
heard = "Hello, my name is Marcelo."
steps = [{ say = "Hello, Marcelo." }]
[[turns]]
steps = [
  { call = "record_reading", arguments = { zqx_measurement = 5, qbf_note = "steady" } },
  { say = "I have recorded it." },
]
"""


def paths(value: Any, prefix: str = "") -> set[str]:
    """Every field in a message, however deep: `serverContent.modelTurn.parts.text`."""
    if isinstance(value, list):
        return {path for item in value for path in paths(item, prefix)}
    if not isinstance(value, dict):
        return set()
    if prefix.endswith("args."):
        return {f"{prefix}*"} if value else set()
    found = {prefix + key for key in value}
    return found.union(*(paths(inner, f"{prefix}{key}.") for key, inner in value.items()))


def kind(message: dict[str, Any]) -> str:
    """A message's type: what is in it at the first two levels, and for a part what it holds."""
    names = [f"{key}.{inner}" for key in message for inner in message[key]]
    for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", []):
        names += [f"part.{key}" for key in part if key in ("thought", "inlineData")]
    return " ".join(name for name in names if not name.startswith("usageMetadata"))


def shapes(messages: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for message in messages:
        found.setdefault(kind(message), set()).update(paths(message))
    return found


def recorded() -> list[dict[str, Any]]:
    return [
        interaction["data"]
        for path in sorted(RECORDINGS.glob("*.yaml"))
        for interaction in yaml.safe_load(path.read_text())["interactions"]
        if interaction["direction"] == "received"
    ]


@needs_recordings
async def test_2_5_sends_what_was_recorded_and_nothing_else(rig, speech):
    await rig.start(TALK)
    client = await rig.connect(
        "2.5-native",
        inputAudioTranscription={},
        tools=rig.tools({"name": "record_reading"}),
    )
    # Of the two modalities in the usage, a prompt with both needs a spoken and a written turn.
    await client.speak(await speech())
    await client.until("turnComplete")
    await client.write("Please record a reading of 5.")
    *_, call = await client.until("toolCall")
    await client.answer(call, "Recorded.")
    await client.until("turnComplete")
    client.seen.insert(0, {"setupComplete": {}})

    ours, theirs = shapes(client.seen), shapes(recorded())

    assert set(ours) == set(theirs)
    for name, fields in theirs.items():
        difference = ours[name] ^ fields
        assert difference <= set(OPTIONAL), name


@needs_recordings
def test_the_recordings_still_need_every_exception():
    """An exception that nothing needs any more would hide a mistake."""
    fields = set().union(*(paths(message) for message in recorded()))
    assert set(OPTIONAL) <= fields


@needs_recordings
async def test_values_have_the_recorded_types(rig, speech):
    """The same JSON types: a count is a number, a flag is true, an id is text."""
    await rig.start(TALK)
    client = await rig.connect("2.5-native", tools=rig.tools({"name": "record_reading"}))
    await client.write("hi")
    await client.until("turnComplete")
    await client.write("record")
    *_, call = await client.until("toolCall")
    await client.answer(call, "Recorded.")
    await client.until("turnComplete")

    def types(messages: list[dict[str, Any]]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}

        def visit(value: Any, path: str) -> None:
            found.setdefault(path, set()).add(type(value).__name__)
            if isinstance(value, dict) and not path.endswith("args"):
                for key, inner in value.items():
                    visit(inner, f"{path}.{key}")
            if isinstance(value, list):
                for inner in value:
                    visit(inner, path + "[]")

        for message in messages:
            visit(json.loads(json.dumps(message)), "")
        return found

    ours, theirs = types(client.seen), types(recorded())
    assert {path: kinds for path, kinds in ours.items() if theirs[path] != kinds} == {}
