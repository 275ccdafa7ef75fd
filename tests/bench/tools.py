"""What a tool that blocks for two seconds adds to the delivery of audio.

    python tests/bench/tools.py

Sessions in one process, as in `sessions.py`: microphone frames out, 100 ms deltas in, in real time.
20 of them, without tools and with a sync tool that sleeps for 2 s, called twice in each; and a
single one, without tools and with a tool that computes for 2 s in pure Python. All alternately,
against one server process. The figures are 99th percentiles, over all rounds, of the time from
the server's send to the application.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

from sessions import SECONDS, SESSIONS, p99, receive, response_create, talk

from realtime_facade import RealtimeConfig, RealtimeVoice, ToolCallCompleted, Tools

TOOL_S = 2.0

tools = Tools()


@tools.action("Block")
def sleeps() -> str:
    time.sleep(TOOL_S)
    return "slept"


@tools.action("Compute")
def computes() -> int:
    end, rounds = time.monotonic() + TOOL_S, 0
    while time.monotonic() < end:
        rounds += 1
    return rounds


async def live(url: str, count: int, tool: str | None) -> list[float]:
    voice = RealtimeVoice("openai", RealtimeConfig(tools=tools), api_key="x", base_url=url)
    completed = 0

    @voice.on(ToolCallCompleted)
    async def note(event: ToolCallCompleted) -> None:
        nonlocal completed
        assert not event.is_error, event.output
        assert event.duration_ms >= TOOL_S * 1000
        completed += 1

    sessions = [await voice.connect() for _ in range(count)]
    delays: list[float] = []
    receiving = [asyncio.create_task(receive(s, delays)) for s in sessions]
    await asyncio.sleep(0)
    for session in sessions:
        request = response_create(seconds=SECONDS)
        if tool is not None:
            request["response"]["metadata"]["tool"] = tool  # type: ignore[index]
        await session.send_raw(request)
    await asyncio.gather(*receiving, *(talk(s) for s in sessions))
    await voice.disconnect()
    assert completed == (2 * count if tool else 0)
    return delays


CASES = ((SESSIONS, None), (SESSIONS, "sleeps"), (1, None), (1, "computes"))


async def main(rounds: int) -> None:
    peer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, Path(__file__).with_name("peer.py")], stdout=subprocess.PIPE, text=True
    )
    delays: dict[tuple[int, str | None], list[float]] = {case: [] for case in CASES}
    try:
        assert peer.stdout is not None
        url = f"ws://127.0.0.1:{peer.stdout.readline().strip()}"
        await live(url, SESSIONS, None)  # warm up
        for _ in range(rounds):
            for case in CASES:
                delays[case] += await live(url, *case)
    finally:
        peer.kill()
        peer.wait()
    for (count, tool), found in delays.items():
        added = p99(found) - p99(delays[count, None])
        print(f"{count:3} sessions, {tool or 'no tool':10}{p99(found):8.2f} ms {added:+8.2f} ms")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
