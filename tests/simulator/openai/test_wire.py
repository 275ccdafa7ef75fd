"""What the protocol refuses, how it ends, and what happens beside the main road."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_facade.audio import g711
from realtime_facade.audio.resample import resample
from realtime_facade.simulator.babble import ScriptedRecognizer
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.parts import Entry, Message, Say, Step, ToolOutput
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator
from realtime_facade.tools.definition import ToolDefinition

HELLO = '[[turns]]\nsteps = [{ say = "Hello there, my friend." }]\n'
LONG = '[[turns]]\nsteps = [{ say = "' + "word " * 60 + '" }]\n'


async def error(client: Any, kind: str, **fields: Any) -> dict[str, Any]:
    await client.send(kind, event_id="mine", **fields)
    answer = await client.next()
    assert answer["type"] == "error"
    assert answer["error"]["event_id"] == "mine"
    assert answer["error"]["type"] == "invalid_request_error"
    found: dict[str, Any] = answer["error"]
    return found


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/realtime", {}, 401),
        ("/v1/realtime", {"Authorization": "Bearer "}, 401),
        ("/v1/chat", {"Authorization": "Bearer k"}, 404),
    ],
)
async def test_refuses_at_the_door(path: str, headers: dict[str, str], status: int):
    async with Simulator() as simulator:
        url = simulator.openai_url.removesuffix("/v1") + path
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers, proxy=None)

    assert refused.value.response.status_code == status
    body = json.loads(refused.value.response.body)
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"api-key": "k"}},
        {"subprotocols": ["realtime", "openai-insecure-api-key.ek_1"]},
    ],
)
async def test_other_ways_to_show_a_key(options: dict[str, Any]):
    async with Simulator() as simulator:
        url = simulator.openai_url + "/realtime"
        async with connect(url, proxy=None, **options) as connection:
            assert json.loads(await connection.recv())["type"] == "session.created"
            assert connection.subprotocol == ("realtime" if "subprotocols" in options else None)


async def test_beta_header_closes_with_4000():
    async with Simulator() as simulator:
        headers = {"Authorization": "Bearer k", "OpenAI-Beta": "realtime=v1"}
        url = simulator.openai_url + "/realtime"
        async with connect(url, additional_headers=headers, proxy=None) as connection:
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000
    assert closed.value.rcvd.reason == "invalid_request_error.beta_api_shape_disabled"


async def test_beta_session_closes_with_4000(dial: Any):
    async with dial() as client:
        await client.send("session.update", session={"modalities": ["text"], "voice": "alloy"})
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()

    assert closed.value.rcvd.code == 4000


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("{", "invalid_event", None),
        ("[]", "invalid_event", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": "response.start"}', "invalid_value", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        (
            '{"type": "session.update", "session": {}}',
            "missing_required_parameter",
            "session.type",
        ),
        ('{"type": "response.create", "foo": 1}', "unknown_parameter", "foo"),
        ('{"type": "input_audio_buffer.append", "audio": 5}', "invalid_type", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "!"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty", None),
        ('{"type": "response.cancel"}', "response_cancel_not_active", None),
        ('{"type": "output_audio_buffer.clear"}', "invalid_event", "type"),
        (
            '{"type": "conversation.item.delete", "item_id": "x"}',
            "item_delete_invalid_item_id",
            "item_id",
        ),
        (
            '{"type": "conversation.item.retrieve", "item_id": "x"}',
            "item_retrieve_invalid_item_id",
            "item_id",
        ),
        (
            '{"type": "conversation.item.create", "item": {"type": "message", "role": "assistant",'
            ' "content": [{"type": "input_text", "text": "a"}]}}',
            "invalid_value",
            "item.content[0].type",
        ),
        (
            '{"type": "conversation.item.create", "item": {"type": "function_call_output",'
            ' "call_id": "x", "output": "y"}}',
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            '{"type": "response.create", "response": {"output_modalities": ["text", "audio"]}}',
            "invalid_value",
            "response.output_modalities",
        ),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
async def test_refuses_and_goes_on(
    dial: Any, frame: str, code: str, param: str | None, binary: bool
):
    async with dial() as client:
        await client.connection.send(frame.encode() if binary else frame)
        answer = await client.next()
        await client.send("input_audio_buffer.clear")
        await client.one("input_audio_buffer.cleared")

    assert answer["type"] == "error"
    assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"model": "gpt-realtime-2.1"}, "invalid_value", "session.model"),
        ({"temperature": 1}, "unknown_parameter", "session.temperature"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        ({"audio": {"output": {"voice": "Puck"}}}, "invalid_value", "session.audio.output.voice"),
        ({"max_output_tokens": 0}, "invalid_value", "session.max_output_tokens"),
        ({"tools": [{"type": "mcp"}]}, "invalid_value", "session.tools[0].type"),
    ],
)
async def test_a_refused_update_changes_nothing(
    dial: Any, change: dict[str, Any], code: str, param: str
):
    async with dial() as client:
        refused = await client.configure(**change, instructions="new")
        after = await client.configure()

    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)
    assert after["session"] == client.received[0]["session"]


async def test_update_merges_and_echoes(dial: Any):
    async with dial() as client:
        first = client.received[0]["session"]
        turns = {"type": "server_vad", "create_response": False}
        sound = {"turn_detection": turns, "transcription": {"model": "whisper-1"}}
        second = (await client.configure(audio={"input": sound}))["session"]
        third = (await client.configure(audio={"output": {"voice": "ash"}}))["session"]
        semantic = {"input": {"turn_detection": {"type": "semantic_vad"}, "transcription": None}}
        fourth = (await client.configure(audio=semantic, instructions=""))["session"]

    assert first["expires_at"] > 3_600
    assert second["audio"]["input"]["turn_detection"] == {
        **first["audio"]["input"]["turn_detection"],
        "create_response": False,
    }
    assert second["audio"]["input"]["transcription"] == {
        "model": "whisper-1",
        "language": None,
        "prompt": None,
    }
    assert third["audio"]["input"] == second["audio"]["input"]
    assert third["audio"]["output"]["voice"] == "ash"
    assert fourth["audio"]["input"]["transcription"] is None
    assert fourth["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    assert fourth["instructions"] == first["instructions"]


@pytest.mark.parametrize(
    ("model", "silence_ms", "voice"),
    [("gpt-realtime", 200, "alloy"), ("gpt-realtime-2.1", 500, "marin")],
)
async def test_defaults_depend_on_the_model(dial: Any, model: str, silence_ms: int, voice: str):
    async with dial(path=f"/v1/realtime?model={model}") as client:
        audio = client.received[0]["session"]["audio"]

    assert audio["input"]["turn_detection"]["silence_duration_ms"] == silence_ms
    assert audio["output"]["voice"] == voice


async def test_voice_is_frozen_once_it_was_heard(dial: Any):
    async with dial(HELLO) as client:
        await client.send("response.create")
        await client.until("response.done")
        await client.one("rate_limits.updated")
        refused = await client.configure(audio={"output": {"voice": "ash"}})

    assert refused["error"]["code"] == "cannot_update_voice"


async def test_one_active_response_and_its_cancellation(dial: Any, kinds: Any):
    async with dial(LONG, speed=20) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.create", event_id="mine")
        refused = await client.one("error")
        await client.send("response.cancel")
        cancelled = await client.until("response.done")
        await client.one("rate_limits.updated")
        late = await error(client, "response.cancel")

    created = next(m for m in client.received if m["type"] == "response.created")
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    assert created["response"]["id"] in refused["error"]["message"]
    assert cancelled[-1]["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "client_cancelled",
    }
    assert cancelled[-1]["response"]["output"][0]["status"] == "incomplete"
    assert late["code"] == "response_cancel_not_active"


async def test_truncation_is_checked_and_shortens_the_item(dial: Any):
    scenario = HELLO + '[[turns]]\nsteps = [{ say = "Second." }]'
    async with dial(scenario) as client:
        await client.send("response.create")
        item = (await client.until("response.done"))[-1]["response"]["output"][0]
        await client.one("rate_limits.updated")
        at = {"item_id": item["id"], "content_index": 0}
        wrong = [
            await error(client, "conversation.item.truncate", **at, audio_end_ms=60_000),
            await error(client, "conversation.item.truncate", **at, audio_end_ms=-1),
            await error(
                client,
                "conversation.item.truncate",
                item_id=item["id"],
                content_index=1,
                audio_end_ms=0,
            ),
        ]
        await client.write("Hi")
        user = (await client.one("conversation.item.done"))["item"]
        wrong.append(
            await error(
                client,
                "conversation.item.truncate",
                item_id=user["id"],
                content_index=0,
                audio_end_ms=0,
            )
        )
        await client.send("conversation.item.truncate", **at, audio_end_ms=850)
        truncated = await client.next()
        await client.send("conversation.item.retrieve", item_id=item["id"])
        kept = (await client.next())["item"]

    assert [problem["code"] for problem in wrong] == ["invalid_value"] * 4
    assert "already shorter than 60000ms" in wrong[0]["message"]
    assert {key: truncated[key] for key in at} == at
    assert kept["content"][0]["transcript"] == "Hello there,"


async def test_the_mind_hears_what_the_listener_heard(dial: Any):
    seen: list[list[Entry]] = []

    class Mind:
        async def answer(
            self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
        ) -> Sequence[Step]:
            seen.append(list(conversation))
            return [Say("Hello there, my friend.")]

    parts = replace(Scenario().parts(), mind=Mind)
    async with dial(parts=parts) as client:
        await client.write("Hi")
        await client.send("response.create")
        item = (await client.until("response.done"))[-1]["response"]["output"][0]
        await client.send(
            "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=850
        )
        await client.write("Sorry?")
        await client.send("response.create")
        await client.until("response.done")

    assert seen == [
        [Message("user", "Hi")],
        [Message("user", "Hi"), Message("assistant", "Hello there,"), Message("user", "Sorry?")],
    ]


async def test_a_failing_part_fails_its_answer_alone(dial: Any, caplog: Any):
    class Mind:
        async def answer(
            self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
        ) -> Sequence[Step]:
            raise RuntimeError("no idea")

    async with dial(parts=replace(Scenario().parts(), mind=Mind)) as client:
        await client.send("response.create")
        response = (await client.one("response.done"))["response"]
        await client.one("rate_limits.updated")
        await client.configure()

    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "server_error"
    assert "no idea" in caplog.text


async def test_a_failing_recognizer_fails_its_transcription_alone(
    dial: Any, speech: bytes, caplog: Any
):
    class Deaf(ScriptedRecognizer):
        async def finish(self) -> str:
            raise RuntimeError("no ears")

    parts = replace(Scenario().parts(), recognizer=lambda tools: Deaf())
    async with dial(parts=parts) as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.speak(speech)
        messages = await client.until("response.done")

    failed = [m for m in messages if m["type"].endswith("transcription.failed")]
    assert len(failed) == 1
    assert failed[0]["error"]["code"] == "audio_unintelligible"
    assert messages[-1]["response"]["status"] == "completed"
    assert "no ears" in caplog.text


async def test_tools_changed_in_the_middle_of_a_sentence(dial: Any, speech: bytes):
    """The new recognizer gets the whole sentence, and the old one owes nothing."""
    heard: list[tuple[int, int]] = []

    class Counting(ScriptedRecognizer):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number, self.samples = number, 0

        def feed(self, pcm: bytes) -> None:
            self.samples += len(pcm) // 2

        async def finish(self) -> str:
            heard.append((self.number, self.samples))
            return "words"

    made: list[Counting] = []

    def recognizer(tools: Sequence[ToolDefinition]) -> Counting:
        made.append(Counting(len(made)))
        return made[-1]

    async with dial(parts=replace(Scenario().parts(), recognizer=recognizer)) as client:
        half = len(speech) // 4 * 2
        await client.speak(speech[:half])
        await client.one("input_audio_buffer.speech_started")
        tool = {"type": "function", "name": "f", "parameters": {}}
        assert (await client.configure(tools=[tool]))["type"] == "session.updated"
        await client.speak(speech[half:])
        messages = await client.until("response.done")

    stopped = next(m for m in messages if m["type"] == "input_audio_buffer.speech_stopped")
    started = next(m for m in client.received if "audio_start_ms" in m)
    [(number, samples)] = heard
    assert number == 1
    spoken_ms = stopped["audio_end_ms"] - started["audio_start_ms"]
    assert samples / 16 == pytest.approx(spoken_ms, abs=40)


async def test_items_are_placed_named_and_forgotten(dial: Any):
    async with dial() as client:
        for text in ("one", "two"):
            await client.write(text)
        added = await client.until("conversation.item.done", 2)
        ids = [added[0]["item"]["id"], added[2]["item"]["id"]]
        content = [{"type": "input_text", "text": "zero"}]
        item = {"id": "mine", "type": "message", "role": "system", "content": content}
        await client.send("conversation.item.create", item=item, previous_item_id="root")
        front = (await client.until("conversation.item.done"))[0]
        twice = await error(client, "conversation.item.create", item=item)
        lost = {**item, "id": "other"}
        nowhere = await error(
            client, "conversation.item.create", item=lost, previous_item_id="nothing"
        )
        await client.send("conversation.item.delete", item_id=ids[0])
        deleted = await client.next()
        again = await error(client, "conversation.item.delete", item_id=ids[0])

    assert [added[0]["previous_item_id"], added[2]["previous_item_id"]] == [None, ids[0]]
    assert front["previous_item_id"] is None
    assert front["item"]["id"] == "mine"
    assert twice["code"] == "item_create_duplicate_item_id"
    assert nowhere["param"] == "previous_item_id"
    assert deleted["item_id"] == ids[0]
    assert again["code"] == "item_delete_invalid_item_id"


async def test_out_of_band_response_leaves_no_trace(dial: Any, kinds: Any):
    async with dial(HELLO) as client:
        content = [{"type": "input_text", "text": "Classify"}]
        await client.send(
            "response.create",
            response={
                "conversation": "none",
                "metadata": {"topic": "x"},
                "output_modalities": ["text"],
                "input": [{"type": "message", "role": "user", "content": content}],
            },
        )
        messages = await client.until("rate_limits.updated")

    assert messages[-2]["response"]["conversation_id"] is None
    assert messages[-2]["response"]["metadata"] == {"topic": "x"}
    assert not [kind for kind in kinds(messages) if kind.startswith("conversation.")]


async def test_response_input_replaces_the_context(dial: Any):
    seen: list[list[Entry]] = []

    class Mind:
        async def answer(
            self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
        ) -> Sequence[Step]:
            seen.append(list(conversation))
            return []

    async with dial(parts=replace(Scenario().parts(), mind=Mind)) as client:
        await client.write("First")
        await client.write("Second")
        second = (await client.until("conversation.item.done", 2))[-1]["item"]["id"]
        call = {"type": "function_call", "name": "f", "call_id": "c", "arguments": '{"a": 1}'}
        output = {"type": "function_call_output", "call_id": "c", "output": "done"}
        items = [{"type": "item_reference", "id": second}, call, output]
        await client.send("response.create", response={"input": items})
        await client.until("rate_limits.updated")
        lost = [{"type": "item_reference", "id": "nowhere"}]
        refused = await error(client, "response.create", response={"input": lost})
        wrong = await error(client, "response.create", response={"input": [{"type": "x"}]})

    assert seen == [[Message("user", "Second"), ToolOutput("f", {"a": 1}, "done")]]
    assert refused["code"] == "item_retrieve_invalid_item_id"
    assert wrong["param"] == "response.input[0].type"


async def test_a_whole_recording_in_one_event_keeps_nobody_waiting(dial: Any, speech: bytes):
    scenario = '[[turns]]\nheard = "go"\nsteps = [{ say = "Yes." }]'
    async with dial(scenario) as client:
        recording = base64.b64encode(speech + bytes(48_000 * 60)).decode()
        await client.send("input_audio_buffer.append", audio=recording)
        messages = await client.until("response.done")

    stopped = next(m for m in messages if m["type"] == "input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] < 3_000


async def test_the_shortest_turns_are_committed_too(dial: Any, speech: bytes):
    async with dial() as client:
        turns = {"type": "server_vad", "prefix_padding_ms": 0, "silence_duration_ms": 0}
        await client.configure(audio={"input": {"turn_detection": turns}})
        await client.speak(speech)
        messages = await client.until("response.done")

    assert "error" not in {message["type"] for message in messages}


async def test_other_transcription_models_bill_tokens(dial: Any, speech: bytes):
    scenario = '[[turns]]\nheard = "go on"\nsteps = [{ say = "Yes." }]'
    async with dial(scenario) as client:
        transcription = {"model": "gpt-4o-transcribe"}
        await client.configure(audio={"input": {"transcription": transcription}})
        await client.speak(speech)
        done = await client.one("conversation.item.input_audio_transcription.completed")

    usage = done["usage"]
    assert usage["type"] == "tokens"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert 15 < usage["input_tokens"] < 35


async def test_an_output_sent_early_waits_for_the_end_of_its_response(dial: Any, kinds: Any):
    scenario = '[[turns]]\nsteps = [{ call = "a" }, { call = "b", arguments = { text = "'
    scenario += "x" * 600 + '" } }]'
    async with dial(scenario, speed=1) as client:
        await client.send("response.create")
        added = await client.one("response.output_item.added")
        output = {"type": "function_call_output", "output": "1"}
        output["call_id"] = added["item"]["call_id"]
        await client.send("conversation.item.create", item=output)
        messages = await client.until("conversation.item.done", 3)

    assert kinds(messages)[-4:] == [
        "response.done",
        "rate_limits.updated",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert messages[-1]["item"]["type"] == "function_call_output"


async def test_max_output_tokens_ends_the_answer(dial: Any):
    async with dial(LONG) as client:
        await client.send("response.create", response={"max_output_tokens": 30})
        response = (await client.one("response.done"))["response"]

    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] < 40


async def test_speech_does_not_interrupt_when_told_so(dial: Any, speech: bytes):
    async with dial(
        '[[turns]]\nheard = "go"\nsteps = [{ say = "' + "word " * 20 + '" }]'
    ) as client:
        turns = {"type": "server_vad", "create_response": False, "interrupt_response": False}
        await client.configure(audio={"input": {"turn_detection": turns}})
        await client.speak(speech)
        await client.until("conversation.item.done")
        await client.send("response.create")
        await client.speak(speech)
        response = (await client.one("response.done"))["response"]

    assert response["status"] == "completed"
    assert sum(m["type"] == "response.created" for m in client.received) == 1


async def test_clear_forgets_what_was_said(dial: Any, speech: bytes):
    async with dial() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.speak(speech)
        await client.send("input_audio_buffer.clear")
        await client.one("input_audio_buffer.cleared")
        problem = await error(client, "input_audio_buffer.commit")

    assert problem["code"] == "input_audio_buffer_commit_empty"


async def test_retrieve_shows_the_users_audio(dial: Any, speech: bytes):
    async with dial() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.speak(speech)
        await client.send("input_audio_buffer.commit")
        item = (await client.one("conversation.item.done"))["item"]
        await client.send("conversation.item.retrieve", item_id=item["id"])
        retrieved = (await client.one("conversation.item.retrieved"))["item"]

    assert "audio" not in item["content"][0]
    assert base64.b64decode(retrieved["content"][0]["audio"]) == speech


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio_both_ways(dial: Any, speech: bytes, law: str):
    encode, decode = {
        "audio/pcmu": (g711.encode_mulaw, g711.decode_mulaw),
        "audio/pcma": (g711.encode_alaw, g711.decode_alaw),
    }[law]
    scenario = '[[turns]]\nheard = "go"\nsteps = [{ say = "Hello there." }]'
    async with dial(scenario) as client:
        form = {"format": {"type": law}}
        await client.configure(audio={"input": form, "output": form})
        await client.speak(encode(resample(speech, 24_000, 8_000)))
        messages = await client.until("response.done")

    stopped = next(m for m in messages if m["type"] == "input_audio_buffer.speech_stopped")
    assert 2_000 < stopped["audio_end_ms"] < 3_200
    deltas = [m["delta"] for m in messages if m["type"] == "response.output_audio.delta"]
    audio = decode(b"".join(map(base64.b64decode, deltas)))
    assert 0.6 < len(audio) / 16_000 < 1.5
    assert max(audio[1::2]) > 0


async def test_quiet_users_are_asked(dial: Any, speech: bytes, kinds: Any):
    scenario = HELLO + '[[turns]]\nsteps = [{ say = "Are you still there?" }]'
    async with dial(scenario) as client:
        turns = {"type": "server_vad", "idle_timeout_ms": 5_000}
        transcription = {"model": "gpt-realtime-whisper"}
        await client.configure(
            audio={"input": {"turn_detection": turns, "transcription": transcription}}
        )
        await client.send("response.create")
        await client.until("rate_limits.updated")
        await client.speak(bytes(48_000 * 5))
        await client.speak(bytes(48_000 * 3))
        messages = await client.until("rate_limits.updated")

    timeout = messages[0]
    assert timeout["type"] == "input_audio_buffer.timeout_triggered"
    assert timeout["audio_end_ms"] - timeout["audio_start_ms"] == pytest.approx(5_000, abs=20)
    assert kinds(messages)[:6] == [
        "input_audio_buffer.timeout_triggered",
        "conversation.item.added",
        "conversation.item.done",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert messages[1]["item"]["role"] == "system"
    assert messages[4]["item"]["id"] == messages[3]["item_id"] == timeout["item_id"]
    assert messages[-2]["response"]["output"][0]["content"][0]["transcript"].startswith("Are you")


async def test_users_who_speak_are_not_asked(dial: Any, speech: bytes):
    scenario = HELLO + '[[turns]]\nheard = "still here"\nsteps = [{ say = "Good." }]'
    async with dial(scenario) as client:
        turns = {"type": "server_vad", "idle_timeout_ms": 5_000, "create_response": False}
        await client.configure(audio={"input": {"turn_detection": turns}})
        await client.send("response.create")
        await client.until("rate_limits.updated")
        await client.speak(speech)
        await client.until("conversation.item.done")
        await client.speak(bytes(48_000 * 12))
        await client.send("input_audio_buffer.clear")
        messages = await client.until("input_audio_buffer.cleared")

    assert [message["type"] for message in messages] == ["input_audio_buffer.cleared"]


async def test_positions_go_on_when_turn_detection_comes_back(dial: Any, speech: bytes):
    async with dial() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.speak(bytes(48_000 * 4))
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        await client.speak(speech)
        started = await client.one("input_audio_buffer.speech_started")

    assert 4_450 <= started["audio_start_ms"] <= 4_620


async def test_an_answer_waits_for_a_client_that_does_not_read():
    """Unpaced, a long answer would otherwise be synthesized as a whole and kept in memory."""
    spoken = 0

    class Endless:
        sample_rate = 24_000

        async def speak(self, text: str) -> AsyncIterator[bytes]:
            nonlocal spoken
            while True:
                spoken += 1
                yield bytes(48_000)

    parts = replace(Scenario().parts(), voice=lambda name: Endless())
    async with Simulator(parts, speed=0) as simulator:
        url = simulator.openai_url + "/realtime"
        options: dict[str, Any] = {"additional_headers": {"api-key": "k"}, "proxy": None}
        async with connect(url, **options) as connection:
            await connection.send('{"type": "response.create"}')
            await asyncio.sleep(0.5)
            waited_at = spoken
            await asyncio.sleep(0.2)
            assert 0 < spoken == waited_at
            connection.transport.abort()


async def test_an_hour_is_the_limit(dial: Any):
    async with dial(clock=ScaledClock(36_000)) as client:
        expired = await client.one("error")
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()

    assert expired["error"]["code"] == "session_expired"
    assert "60 minutes" in expired["error"]["message"]
    assert closed.value.rcvd.code == 1001
