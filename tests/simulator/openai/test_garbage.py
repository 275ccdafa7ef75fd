"""Whatever a client sends, the session answers it, and the simulator serves the next one."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_facade.simulator.server import Simulator

KINDS = st.sampled_from(
    [
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "output_audio_buffer.clear",
        "conversation.item.create",
        "conversation.item.retrieve",
        "conversation.item.delete",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
        "nonsense",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["message", "function_call", "user", "realtime", "audio/pcmu", "server_vad"]),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "audio", "input", "output", "format", "turn_detection", "tools", "x"),
                    *(
                        "role",
                        "id",
                        "call_id",
                        "item",
                        "voice",
                        "transcription",
                        "model",
                        "content",
                    ),
                ]
            ),
            children,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("event_id", "session", "audio", "item", "item_id", "previous_item_id", "response"),
            *("response_id", "content_index", "audio_end_ms", "y"),
        ]
    ),
    VALUES,
    max_size=4,
)
TYPED = st.builds(lambda kind, fields: {"type": kind, **fields}, KINDS, FIELDS)
SESSIONS = st.builds(
    lambda fields: {"type": "session.update", "session": {"type": "realtime", **fields}},
    st.dictionaries(
        st.sampled_from(["audio", "tools", "tool_choice", "instructions", "output_modalities"])
        | st.sampled_from(["max_output_tokens", "truncation", "tracing", "include", "prompt"]),
        VALUES,
        max_size=4,
    ),
)
FRAMES = (
    st.text(max_size=60)
    | st.binary(max_size=60)
    | (TYPED | SESSIONS | VALUES).map(json.dumps)
    | TYPED.map(lambda message: json.dumps(message).encode())
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frames=st.lists(FRAMES, min_size=1, max_size=12))
def test_garbage_is_answered_and_survived(dial: Any, frames: list[str | bytes]):
    async def talk() -> None:
        async with dial('[[turns]]\nsteps = [{ say = "Hi." }]') as client:
            try:
                for frame in frames:
                    await client.connection.send(frame)
                await client.send("input_audio_buffer.clear", event_id="last")
                async with asyncio.timeout(10):
                    await client.one("input_audio_buffer.cleared")
            except ConnectionClosed:
                # A session in its beta shape is the one mistake that ends a session.
                assert client.connection.close_code == 4000
            errors = [m["error"] for m in client.received if m["type"] == "error"]
            assert all(error["code"] and error["message"] for error in errors)

    asyncio.run(talk())


async def test_a_flood_of_garbage_disturbs_no_other_session(dial: Any):
    async with Simulator(speed=0) as simulator:
        url = simulator.openai_url + "/realtime"
        options: dict[str, Any] = {"additional_headers": {"api-key": "k"}, "proxy": None}
        async with connect(url, **options) as noisy, connect(url, **options) as calm:
            flood = asyncio.create_task(_flood(noisy))
            await calm.send('{"type": "response.create"}')
            async with asyncio.timeout(10):
                while json.loads(await calm.recv())["type"] != "response.done":
                    pass
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            assert simulator.sessions_open == 2
            noisy.transport.abort()


async def _flood(connection: ClientConnection) -> None:
    """Sends and never reads: the simulator has to stop reading in its turn, not to grow."""
    while True:
        await connection.send("{" * 500)
