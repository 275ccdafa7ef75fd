"""What the package costs beside a bare `websockets` + `json` + `base64` loop.

    python tests/bench/sessions.py

Burst: CPU per 100 ms audio delta when a whole answer arrives at once. Live: 20 sessions in one
process, each sending 20 ms microphone frames and receiving 100 ms deltas in real time; CPU per
session and second, and the 99th percentile of the time from the server's send to the
application. Both loops run alternately against the same server process; figures are medians.
"""

import argparse
import asyncio
import base64
import json
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from realtime_facade import AudioChunk, RawEvent, RealtimeVoice, Session

DELTAS = 3_000
SESSIONS = 20
SECONDS = 5
FRAME = bytes(range(240)) * 4  # 20 ms at 24 kHz
END = "input_audio_buffer.cleared"


def response_create(**metadata: int) -> dict[str, object]:
    return {
        "type": "response.create",
        "response": {"metadata": {name: str(value) for name, value in metadata.items()}},
    }


# -- the bare loop ------------------------------------------------------------------------------


async def bare_connect(url: str) -> ClientConnection:
    connection = await connect(
        f"{url}/realtime?model=x",
        additional_headers={"Authorization": "Bearer x"},
        compression=None,
        max_size=None,
        proxy=None,
    )
    await connection.recv()
    await connection.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
    await connection.recv()
    return connection


async def bare_receive(connection: ClientConnection, delays: list[float]) -> int:
    received = 0
    while True:
        message = json.loads(await connection.recv())
        if message["type"] == "response.output_audio.delta":
            pcm = base64.b64decode(message["delta"])
            received += 1
            delays.append(time.monotonic() - struct.unpack_from("<d", pcm)[0])
        elif message["type"] == END:
            return received


async def bare_talk(connection: ClientConnection) -> None:
    async def send() -> None:
        audio = base64.b64encode(FRAME).decode()
        await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    await paced(send)


async def bare_burst(url: str) -> float:
    connection = await bare_connect(url)
    await connection.send(json.dumps(response_create(burst=DELTAS)))
    before = time.process_time()
    assert await bare_receive(connection, []) == DELTAS
    cpu = time.process_time() - before
    await connection.close()
    return cpu / DELTAS * 1e6


async def bare_live(url: str) -> tuple[float, float]:
    connections = [await bare_connect(url) for _ in range(SESSIONS)]
    delays: list[float] = []
    before = time.process_time()
    for connection in connections:
        await connection.send(json.dumps(response_create(seconds=SECONDS)))
    await asyncio.gather(
        *(bare_receive(c, delays) for c in connections), *(bare_talk(c) for c in connections)
    )
    cpu = time.process_time() - before
    await asyncio.gather(*(c.close() for c in connections))
    return cpu / SESSIONS / SECONDS * 1e3, p99(delays)


# -- the package --------------------------------------------------------------------------------


async def receive(session: Session, delays: list[float]) -> int:
    received = 0
    async for event in session.events():
        if type(event) is AudioChunk:
            received += 1
            delays.append(time.monotonic() - struct.unpack_from("<d", event.data)[0])
        elif isinstance(event, RawEvent) and event.name == END:
            break
    return received


async def talk(session: Session) -> None:
    async def send() -> None:
        session.send_audio(FRAME)

    await paced(send)


async def burst(url: str) -> float:
    voice = RealtimeVoice("openai", api_key="x", base_url=url)
    async with voice.connect() as session:
        before = time.process_time()
        receiving = asyncio.create_task(receive(session, []))
        await asyncio.sleep(0)
        await session.send_raw(response_create(burst=DELTAS))
        assert await receiving == DELTAS
        return (time.process_time() - before) / DELTAS * 1e6


async def live(url: str) -> tuple[float, float]:
    voice = RealtimeVoice("openai", api_key="x", base_url=url)
    sessions = [await voice.connect() for _ in range(SESSIONS)]
    delays: list[float] = []
    before = time.process_time()
    receiving = [asyncio.create_task(receive(s, delays)) for s in sessions]
    await asyncio.sleep(0)
    for session in sessions:
        await session.send_raw(response_create(seconds=SECONDS))
    await asyncio.gather(*receiving, *(talk(s) for s in sessions))
    cpu = time.process_time() - before
    await voice.disconnect()
    return cpu / SESSIONS / SECONDS * 1e3, p99(delays)


# -- both ---------------------------------------------------------------------------------------


async def paced(send: Callable[[], Awaitable[None]]) -> None:
    begin = time.monotonic()
    for number in range(SECONDS * 50):
        await asyncio.sleep(begin + number / 50 - time.monotonic())
        await send()


def p99(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100)[98] * 1e3


async def main(rounds: int) -> None:
    peer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, Path(__file__).with_name("peer.py")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert peer.stdout is not None
        url = f"ws://127.0.0.1:{peer.stdout.readline().strip()}"
        await bare_burst(url), await burst(url)  # warm up
        bursts = [(await bare_burst(url), await burst(url)) for _ in range(rounds)]
        lives = [(await bare_live(url), await live(url)) for _ in range(max(rounds // 2, 1))]
    finally:
        peer.kill()
        peer.wait()
    rows = [
        ("burst: CPU us per 100 ms delta", [b for b, _ in bursts], [o for _, o in bursts]),
        ("live: CPU ms per session-second", [b[0] for b, _ in lives], [o[0] for _, o in lives]),
        ("live: p99 delivery, ms", [b[1] for b, _ in lives], [o[1] for _, o in lives]),
    ]
    print(f"{'':36}{'bare':>9}{'package':>9}{'ratio':>7}")  # noqa: T201
    for name, bare, ours in rows:
        left, right = statistics.median(bare), statistics.median(ours)
        print(f"{name:36}{left:9.2f}{right:9.2f}{right / left:7.2f}")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args().rounds))
