"""Conversations that outlive several connections; `bench/endurance.py` holds those of hours."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .bench.endurance_script import RATE, Words, sounding, speech, understood

ENDURANCE = Path(__file__).parent / "bench" / "endurance.py"
MINUTES = 9
FASTER = 1_000

RENEWED = {
    "openai": (1, ["--renew-after", "300", "--limit", "400"]),
    # With a tool that takes longer than the provider waits after it has announced the end.
    "gemini": (3, ["--limit", "180", "--seed", "10"]),
}
"""How often, and what for: the providers' own limits are far longer than this conversation."""


async def hold(wire: str, *options: str) -> tuple[int | None, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ENDURANCE), "--wire", wire, "--json", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, json.loads(output)


@pytest.mark.timeout(150)
async def test_nobody_notices_that_connections_are_renewed():
    """Each word is heard once on both sides, nothing gapes, and the uncut one was the same."""
    time = ("--hours", str(MINUTES / 60), "--factor", str(FASTER), "--compare")
    runs = await asyncio.gather(*(hold(wire, *time, *how) for wire, (_, how) in RENEWED.items()))
    for (wire, (renewals, _)), (code, result) in zip(RENEWED.items(), runs, strict=True):
        assert result["problems"] == []
        assert code == 0
        states = result["figures"]["states"]
        assert states["renewing"] >= renewals
        assert ("answering" in result["figures"]["renewed while"]) == (wire == "gemini")
        assert "reconnecting" not in states
        assert result["uncut"]["connections"] == 1
        assert result["figures"]["turns"] >= MINUTES
        assert result["figures"]["longest gap, ms"] < 200


# -- a run that finds nothing is worth as much as what would find something ------------------------


async def test_a_connection_that_is_lost_is_told():
    """Here the provider does not wait for a renewal."""
    code, result = await hold(
        *("openai", "--hours", "0.1", "--factor", str(FASTER)),
        *("--limit", "100", "--renew-after", "1000"),
    )
    assert code == 1
    assert any("a connection was lost" in problem for problem in result["problems"])


def test_a_sample_that_is_lost_or_doubled_is_told():
    samples = np.frombuffer(sounding("apple") + sounding("apple") + sounding("bread"), "<i2")
    for heard, words in [
        (samples, "apple apple bread"),
        (samples[1:], "apple apple*9599 bread"),
        (np.append(samples, samples[-1]), "apple apple bread bread*1"),
    ]:
        ear = Words()
        for piece in np.array_split(heard, 7):
            ear.hear(np.append(piece, np.zeros(3, np.int16)))
        assert " ".join(ear.take()) == words


def test_a_part_of_a_word_that_is_lost_or_doubled_is_told():
    said = speech("story apple")
    tenth = RATE // 10 * 2
    assert understood(said, RATE) == "story apple"
    assert understood(said[tenth:], RATE) == "story*200 apple"
    assert understood(said[:tenth] + said, RATE) == "story*400 apple"
