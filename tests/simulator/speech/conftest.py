"""Tools that people could ask for, and speech to ask for them with."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.audio.wav import read_wav
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.function import FunctionTool

Position = Literal[
    "front left", "front right", "front center", "rear left", "rear right", "rear center",
    "side left", "side right",
]  # fmt: skip

Synthesize = Callable[[str, str], bytes]


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return city


def set_timer(minutes: int) -> str:
    """Set a timer for some minutes."""
    return str(minutes)


def turn_light(on: bool) -> str:
    """Turn the light on or off."""
    return str(on)


def search_web(query: str) -> str:
    """Search the web."""
    return query


def calculator(expression: str) -> str:
    """Evaluate an arithmetic expression."""
    return expression


def book_appointment(date: str, time: str, service: str) -> str:
    """Book an appointment."""
    return date + time + service


def adjust_volume(level: Annotated[float, "0.0 to 1.0"]) -> str:
    """Adjust the volume."""
    return str(level)


def select_speaker(position: Position) -> str:
    """Select a speaker."""
    return position


def get_order_status(order_id: int) -> str:
    """Look up the status of an order."""
    return str(order_id)


ALL = (
    get_weather,
    set_timer,
    turn_light,
    search_web,
    calculator,
    book_appointment,
    adjust_volume,
    select_speaker,
    get_order_status,
)


@pytest.fixture(scope="session")
def tools() -> dict[str, ToolDefinition]:
    return {function.__name__: FunctionTool.of(function).definition for function in ALL}


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """`synthesize("flite:slt", text)`: mono s16le at 16 kHz, silence before and after."""
    folder = tmp_path_factory.mktemp("spoken")

    def make(voice: str, text: str) -> bytes:
        program, _, variant = voice.partition(":")
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        path = folder / f"{re.sub(r'[^a-z]', '_', voice + text)}.wav"
        option = ["-voice", variant, "-t", text, "-o"] if program == "flite" else ["-v", variant]
        rest = [str(path)] if program == "flite" else ["-s", "165", "-w", str(path), text]
        subprocess.run([program, *option, *rest], check=True, stdin=subprocess.DEVNULL, timeout=20)
        return hearable(path)

    return make


def hearable(path: Path) -> bytes:
    """A recording at 16 kHz, with 0.3 s of silence before and 0.6 s after."""
    pcm, rate = read_wav(path)
    return bytes(9_600) + resample(pcm, rate, 16_000) + bytes(19_200)
