"""Attempts to have a connection again, with a teller and providers that are nothing but names."""

import asyncio
from types import SimpleNamespace

import pytest

from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import RealtimeConnectionError
from realtime_facade.events import ConnectionChanged
from realtime_facade.providers.base import Past
from realtime_facade.session import reach
from realtime_facade.session.reach import Reach

FIRST, SECOND = SimpleNamespace(name="first"), SimpleNamespace(name="second")
LOST = RealtimeConnectionError("the line is dead", retryable=True, cause="network")


class Teller:
    def __init__(self, handle: str | None = None) -> None:
        self.config = RealtimeConfig(reconnect_budget_s=0.3)
        self.handle = handle

    def past(self, profile: object) -> Past:
        return Past(handle=self.handle)

    def forget_handle(self) -> None:
        self.handle = None


class Exchange:
    """Answers as it is told, then with a link; None takes for ever."""

    def __init__(self, *answers: RealtimeConnectionError | None) -> None:
        self.answers = list(answers)
        self.called: list[str] = []
        self.handles: list[str | None] = []
        self.closed = 0

    async def dial(self, provider, config, past):
        self.called.append(provider.name)
        self.handles.append(past(None).handle)
        answer = self.answers.pop(0) if self.answers else provider
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, RealtimeConnectionError):
            raise answer
        return SimpleNamespace(provider=provider, close=self._close)

    async def _close(self) -> None:
        self.closed += 1


def refusal(**more) -> RealtimeConnectionError:
    return RealtimeConnectionError("refused", **{"retryable": True, **more})


@pytest.fixture
def reports() -> list[ConnectionChanged]:
    return []


async def test_it_tries_until_somebody_answers(reports):
    exchange = Exchange(refusal(), refusal())
    link, provider = await Reach(exchange.dial, Teller(), reports.append).anybody(FIRST, [], LOST)
    assert (link.provider, provider) == (FIRST, FIRST)
    assert [r.attempt for r in reports] == [2, 3]
    assert {r.state for r in reports} == {"reconnecting"}


async def test_a_server_that_does_not_accept_is_tried_anew(reports, monkeypatch):
    monkeypatch.setattr(reach, "ATTEMPT_S", 0.02)
    exchange = Exchange(None)
    await Reach(exchange.dial, Teller(), reports.append).anybody(FIRST, [], LOST)
    assert exchange.called == ["first", "first"]
    assert "did not accept the session within 0.02 s" in reports[0].reason


async def test_the_budget_ends_it(reports):
    exchange = Exchange(*[refusal()] * 100)
    with pytest.raises(RealtimeConnectionError, match="refused"):
        await Reach(exchange.dial, Teller(), reports.append).anybody(FIRST, [], LOST)
    assert 2 <= len(exchange.called) < 20


async def test_a_final_refusal_is_not_tried_again(reports):
    exchange = Exchange(refusal(retryable=False))
    with pytest.raises(RealtimeConnectionError):
        await Reach(exchange.dial, Teller(), reports.append).anybody(FIRST, [], LOST)
    assert exchange.called == ["first"]


async def test_the_next_provider_takes_over_and_is_told_everything(reports):
    exchange = Exchange(refusal(retryable=False, cause="authentication"))
    teller = Teller(handle="h")
    _, provider = await Reach(exchange.dial, teller, reports.append).anybody(FIRST, [SECOND], LOST)
    assert provider is SECOND
    assert exchange.handles == ["h", None]
    assert reports[-1].provider == "second"


async def test_a_refused_handle_is_replaced_at_once(reports):
    exchange = Exchange(refusal(retryable=False, cause="expired"))
    await Reach(exchange.dial, Teller(handle="h"), reports.append).anybody(FIRST, [], LOST)
    assert exchange.handles == ["h", None]


async def test_losses_without_an_answer_between_share_one_budget(reports):
    exchange = Exchange()
    finder = Reach(exchange.dial, Teller(), reports.append)

    async def lose_again_and_again() -> None:
        for _ in range(20):
            await finder.anybody(FIRST, [], LOST)
            finder.used()

    with pytest.raises(RealtimeConnectionError, match="the line is dead"):
        await lose_again_and_again()
    assert 2 <= len(exchange.called) < 8


async def test_an_answer_between_losses_begins_a_new_budget(reports):
    exchange = Exchange()
    finder = Reach(exchange.dial, Teller(), reports.append)
    for _ in range(20):
        await finder.anybody(FIRST, [], LOST)
        finder.used()
        finder.works()
    assert len(exchange.called) == 20


async def test_a_configuration_that_changed_meanwhile_is_dialled_again(reports):
    exchange, teller = Exchange(), Teller()
    dial = exchange.dial

    async def change(provider, config, past):
        link = await dial(provider, config, past)
        if len(exchange.called) == 1:
            teller.config = config.changed(instructions="Be brief.")
        return link

    await Reach(change, teller, reports.append).anybody(FIRST, [], LOST)
    assert exchange.called == ["first", "first"]
    assert exchange.closed == 1
