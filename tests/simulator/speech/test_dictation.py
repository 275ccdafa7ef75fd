import asyncio
import sys

import pytest

from realtime_facade.errors import RealtimeError
from realtime_facade.simulator.speech.dictation import Dictation

WORKER = """
import json, sys, time
from realtime_facade.simulator.speech.dictation_worker import HEADER
while len(header := sys.stdin.buffer.read(HEADER.size)) == HEADER.size:
    number, size = HEADER.unpack(header)
    pcm = sys.stdin.buffer.read(size)
    if pcm == b"die!":
        sys.exit(3)
    if pcm == b"slow":
        time.sleep(0.3)
    reply = "nonsense" if pcm == b"babble" else json.dumps({"number": number, "text": pcm.decode()})
    print(reply, flush=True)
"""


@pytest.fixture
async def dictation():
    dictation = Dictation((sys.executable, "-c", WORKER))
    dictation.open()
    yield dictation
    await dictation.close()


async def test_one_worker_serves_all(dictation: Dictation):
    calls = (dictation.transcribe(b"%d" % number) for number in range(5))
    assert await asyncio.gather(*calls) == list("01234")
    process = dictation._process
    assert await dictation.transcribe(b"again") == "again"
    assert dictation._process is process


async def test_no_process_is_started_before_it_is_needed(dictation: Dictation):
    assert dictation._process is None


async def test_the_last_user_ends_the_worker(dictation: Dictation):
    dictation.open()
    await dictation.transcribe(b"x")
    process = dictation._process
    assert process is not None
    await dictation.close()
    assert process.returncode is None
    dictation.open()
    await dictation.close()
    assert process.returncode is None


async def test_a_cancelled_call_does_not_confuse_the_next(dictation: Dictation):
    await dictation.transcribe(b"warm")
    call = asyncio.create_task(dictation.transcribe(b"slow"))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await dictation.transcribe(b"next") == "next"


@pytest.mark.parametrize("pcm", [b"die!", b"babble"])
async def test_a_worker_that_fails_is_an_error_and_is_replaced(dictation: Dictation, pcm: bytes):
    with pytest.raises(RealtimeError, match="free speech failed"):
        await dictation.transcribe(pcm)
    assert await dictation.transcribe(b"back") == "back"


async def test_a_worker_that_is_too_slow_is_replaced(
    dictation: Dictation, monkeypatch: pytest.MonkeyPatch
):
    await dictation.transcribe(b"warm")
    monkeypatch.setattr("realtime_facade.simulator.speech.dictation._TIMEOUT_S", 0.05)
    with pytest.raises(RealtimeError, match="too slow"):
        await dictation.transcribe(b"slow")


async def test_a_worker_that_cannot_be_started_is_an_error():
    dictation = Dictation(("/nonexistent/worker",))
    dictation.open()
    with pytest.raises(RealtimeError, match="free speech failed"):
        await dictation.transcribe(b"x")
    await dictation.close()


async def test_a_worker_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("realtime_facade.simulator.speech.dictation._GOODBYE_S", 0.1)
    stubborn = WORKER + "\ntime.sleep(60)\n"
    dictation = Dictation((sys.executable, "-c", stubborn))
    dictation.open()
    await dictation.transcribe(b"x")
    process = dictation._process
    assert process is not None
    await dictation.close()
    assert process.returncode is not None
