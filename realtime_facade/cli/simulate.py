"""Serves both simulated providers until a signal comes."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

from ..errors import MissingExtra
from ..simulator.chaos import Chaos
from ..simulator.parts import Parts
from ..simulator.scenario import Scenario
from ..simulator.server import Simulator

Write = Callable[[str], None]


async def serve(
    *,
    host: str,
    port: int,
    speed: float,
    scenario: Path | None,
    chaos: int | None,
    as_json: bool,
    allow_remote: bool,
    write: Write,
    note: Write,
) -> None:
    """Listen until SIGINT or SIGTERM.

    Args:
        host: Address to listen on.
        port: 0 for free ports, else the first of three.
        speed: Answers come this many times faster than real time; 0 is unpaced.
        scenario: A TOML file; None to understand speech and answer by itself.
        chaos: Seed for faults by chance; None for none.
        as_json: Whether the addresses are written as one JSON line.
        allow_remote: Needed for a host that is not loopback.
        write: Takes what a program may read, line by line.
        note: Takes remarks for people.

    Raises:
        ConfigurationError: If the scenario or the host is refused.
        MissingExtra: If the package for the certificate is not installed.
        OSError: If a port is taken.
    """
    plan = None if scenario is None else Scenario.load(scenario)
    stop = _stop_on_signal()
    async with Simulator(
        _parts(note) if plan is None else None,
        scenario=plan,
        host=host,
        port=port,
        speed=speed,
        chaos=None if chaos is None else Chaos(chaos),
        wires=("openai", "gemini", "gemini_tls"),
        allow_remote=allow_remote,
    ) as simulator:
        addresses = {
            "openai": simulator.openai_url,
            "gemini": simulator.gemini_url,
            "gemini_plain": simulator.gemini_plain_url,
            "ca": str(simulator.ca_path),
        }
        write(json.dumps(addresses) if as_json else _instructions(addresses))
        await stop.wait()


def _parts(note: Write) -> Parts | None:
    """Real ears and a real voice where they are installed; None lets the scenario's serve."""
    from ..simulator.speech import local_parts

    try:
        return local_parts()
    except MissingExtra as missing:
        note(f"No speech is understood, and every turn gets the same answer: {missing}")
        return None


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows has no signal handlers in the loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


def _instructions(addresses: dict[str, str]) -> str:
    http = addresses["openai"].replace("ws://", "http://")
    return (
        "Simulated providers, any key is right. Stop with Ctrl+C.\n\n"
        "OpenAI Realtime (this package and the OpenAI SDK):\n"
        f"  export OPENAI_BASE_URL={http} OPENAI_API_KEY=simulated\n\n"
        "Gemini Live (this package):\n"
        f"  export GOOGLE_GEMINI_BASE_URL={addresses['gemini_plain']} GEMINI_API_KEY=simulated\n\n"
        "Gemini Live (the Google SDK, which insists on TLS):\n"
        f"  export GOOGLE_GEMINI_BASE_URL={addresses['gemini']} GEMINI_API_KEY=simulated \\\n"
        f"    SSL_CERT_FILE={addresses['ca']}"
    )
