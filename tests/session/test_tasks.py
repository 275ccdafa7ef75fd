import asyncio

import pytest

from realtime_facade.session.tasks import Tasks


@pytest.fixture
def failures() -> list[tuple[str, BaseException]]:
    return []


@pytest.fixture
def tasks(failures) -> Tasks:
    return Tasks(lambda name, error: failures.append((name, error)))


async def test_work_runs_beside_and_is_forgotten_at_its_end(tasks):
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    task = tasks.start(work(), "work")
    assert task in tasks
    await done.wait()
    await tasks.ended()
    await asyncio.sleep(0)
    assert task not in tasks


async def test_work_that_fails_is_told_with_its_name(tasks, failures):
    async def work() -> None:
        raise ValueError("no")

    tasks.start(work(), "the work")
    await tasks.ended()
    await asyncio.sleep(0)
    [(name, error)] = failures
    assert (name, str(error)) == ("the work", "no")


async def test_a_timer_calls_back_once_unless_it_is_given_up(tasks):
    called = []
    tasks.call_later(0.01, lambda: called.append("kept"))
    tasks.call_later(0.01, lambda: called.append("given up")).cancel()
    await asyncio.sleep(0.03)
    assert called == ["kept"]


async def test_a_timer_that_fails_is_told(tasks, failures):
    tasks.call_later(0, lambda: 1 / 0)
    await asyncio.sleep(0.01)
    [(_, error)] = failures
    assert isinstance(error, ZeroDivisionError)


async def test_cancelling_ends_everything_and_is_no_failure(tasks, failures):
    async def forever() -> None:
        await asyncio.Event().wait()

    running = [tasks.start(forever(), "work"), tasks.call_later(60, lambda: None)]
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.ended()
    assert all(task.cancelled() for task in running)
    assert failures == []


async def test_waiting_for_nothing_does_not_wait(tasks):
    await tasks.ended()
