"""What every test gets: an environment without keys, and a check that it leaves nothing alive."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

KEYS = ("AZURE_OPENAI_", "GEMINI_", "GOOGLE_", "OPENAI_", "REALTIME_", "XAI_")
PROXIES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")
GRACE_S = 3.0
"""A worker that was told to stop may need a moment; more than this is a leak."""

# Started by the standard library once per process, on purpose for the process's whole life.
LASTING_PROCESSES = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach a real provider, or be changed by a developer's own settings."""
    for name in os.environ:
        if name.startswith(KEYS) or name.lower() in PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def leaves_no_thread_or_process() -> Iterator[None]:
    # The event loop of an async test is a fixture that is made later than this one and therefore
    # closed before the code after `yield` runs, its executor's threads included.
    threads, processes = set(threading.enumerate()), _children()
    yield
    left_threads = _left(lambda: set(threading.enumerate()) - threads)
    assert not left_threads, f"threads still alive: {left_threads}"
    left_processes = _left(lambda: _children() - processes)
    assert not left_processes, f"child processes still there: {left_processes}"


@pytest.fixture(autouse=True)
def leaves_no_task(request: pytest.FixtureRequest, leaves_no_thread_or_process: None) -> None:
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("no_task_left")


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    yield
    # A task that was cancelled by a fixture's exit takes one turn of the loop to end.
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks still alive: {left}"


def _left(what: Callable[[], set[object]]) -> set[object]:
    deadline = time.monotonic() + GRACE_S
    while (left := what()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _children() -> set[object]:
    """Process ids of this process's children with their command lines; empty without /proc."""
    found: set[object] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            pids = path.read_text().split()
        except OSError:  # the thread has just ended
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # the child has just ended
                continue
            if not any(name in command for name in LASTING_PROCESSES):
                found.add((int(pid), command))
    return found
