"""The other side of the benchmarks: a bare server that answers OpenAI's handshake and streams.

Run in a process of its own, so that its work is not counted. Prints its port.
`response.create` with metadata `{"burst": N}` sends N deltas at once; `{"seconds": S}` sends one
delta of 100 ms every 100 ms for S seconds. Each delta's audio begins with the time of sending.
`{"seconds": S, "tool": NAME}` also calls a tool every 2.5 seconds.
`{"barge": N}` speaks and hears the user cut in, N times; `speech_started` names the time as its
item.
"""

import asyncio
import base64
import json
import random
import struct
import time

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SAMPLES = bytes(range(256)) * 19  # 4 864 bytes, cut to 100 ms below
DELTA_BYTES = 4_800


def delta(number: int) -> str:
    pcm = struct.pack("<d", time.monotonic()) + SAMPLES[: DELTA_BYTES - 8]
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": f"event_{number:021d}",
            "response_id": "resp_E6U11oof93olA0JOwdA0H",
            "item_id": "item_E6U11H8XY7uk9uRetnwLK",
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(pcm).decode(),
        }
    )


def call(name: str, number: int) -> str:
    return json.dumps(
        {
            "type": "response.function_call_arguments.done",
            "event_id": f"event_call_{number}",
            "response_id": "resp_E6U11oof93olA0JOwdA0H",
            "item_id": f"item_call_{number}",
            "call_id": f"call_{number}",
            "name": name,
            "arguments": "{}",
        }
    )


async def stream(connection: ServerConnection, wanted: dict[str, str]) -> None:
    for number in range(int(wanted.get("burst", 0))):
        await connection.send(delta(number))
    begin = time.monotonic()
    for number in range(int(wanted.get("seconds", 0)) * 10):
        await asyncio.sleep(begin + number / 10 - time.monotonic())
        if number % 25 == 0 and "tool" in wanted:
            await connection.send(call(wanted["tool"], number))
        await connection.send(delta(number))
    for number in range(int(wanted.get("barge", 0))):
        response = {"id": f"resp_{number}", "object": "realtime.response", "status": "in_progress"}
        await connection.send(json.dumps({"type": "response.created", "response": response}))
        for _ in range(20):
            await connection.send(
                delta(number).replace("resp_E6U11oof93olA0JOwdA0H", response["id"])
            )
            await asyncio.sleep(random.uniform(0, 0.02))
        started = {"audio_start_ms": 0, "item_id": repr(time.monotonic())}
        await connection.send(json.dumps({"type": "input_audio_buffer.speech_started"} | started))
        response["status"] = "cancelled"
        await connection.send(json.dumps({"type": "response.done", "response": response}))
    await connection.send('{"type": "input_audio_buffer.cleared", "event_id": "event_end"}')


async def converse(connection: ServerConnection) -> None:
    session = {"id": "sess_1", "type": "realtime", "model": "gpt-realtime-2.1"}
    await connection.send(json.dumps({"type": "session.created", "session": session}))
    streams = set()
    try:
        async for text in connection:
            if text.startswith('{"type":"input_audio_buffer.append"'):
                continue
            message = json.loads(text)
            if message["type"] == "session.update":
                await connection.send(json.dumps({"type": "session.updated", "session": session}))
            elif message["type"] == "response.create":
                streams.add(
                    asyncio.create_task(stream(connection, message["response"]["metadata"]))
                )
    except ConnectionClosed:
        pass
    for task in streams:
        task.cancel()


async def main() -> None:
    async with serve(converse, "127.0.0.1", 0, compression=None, max_size=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)  # noqa: T201
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
