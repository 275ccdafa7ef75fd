"""Bills are added up, priced and limited."""

import pytest

from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    ConfigWarning,
    Event,
    ProviderSwitched,
    ResponseDone,
    SessionStarted,
    TokenCounts,
    TurnEnded,
    Usage,
    UsageLimitReached,
    UsageReported,
    UsageUpdated,
)
from realtime_facade.features.usage import UsageLimit, UsageMeter
from realtime_facade.prices import Prices
from realtime_facade.providers.base import Profile

RATE = 24_000
PRICES = {"m": Prices(input_text=1_000_000), "ears": Prices(audio_hour=3_600)}


class Session:
    """What a meter sees of a session."""

    def __init__(self, limit: UsageLimit | None = None, prices=None) -> None:
        self.profile = Profile(provider="p", model="asked-for")
        self.events: list[Event] = []
        self.left: list[str] = []
        self.feature = UsageMeter(limit, prices, self.left.append)
        self.feature.attach(self)
        self.happen(SessionStarted(model="m"))

    def emit(self, event: Event) -> None:
        self.happen(event)

    def happen(self, *events: Event) -> None:
        for event in events:
            self.feature.on_event(event)
            self.events.append(event)

    def answer(self, tokens: int, *, turn_ends: bool = True) -> None:
        self.happen(ResponseDone(response_id="r", usage=used(tokens)))
        if turn_ends:
            self.happen(TurnEnded(response_id="r"))

    def of(self, kind: type[Event]) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def used(tokens: int) -> Usage:
    return Usage(input=TokenCounts(total=tokens, text=tokens), total=tokens)


def test_turns_and_the_session_are_added_up():
    session = Session()
    session.answer(3, turn_ends=False)
    session.answer(4)
    session.answer(10)
    bills = session.of(UsageUpdated)
    assert [(b.turn.total, b.session.total, b.cost) for b in bills] == [
        (3, 3, None),
        (7, 7, None),
        (10, 17, None),
    ]
    kinds = [type(event) for event in session.events]
    assert kinds.index(UsageUpdated) < kinds.index(ResponseDone)
    assert session.left == []


def test_an_answer_without_counts_brings_no_bill():
    session = Session()
    session.happen(ResponseDone(response_id="r"))
    assert session.of(UsageUpdated) == []


def test_everything_costs_what_its_own_model_costs():
    session = Session(prices=PRICES)
    session.answer(3)
    session.happen(UsageReported(usage=Usage(audio_s=2), model="ears"))
    session.happen(UsageReported(usage=used(5)))
    assert [bill.cost for bill in session.of(UsageUpdated)] == [3, 5, 10]
    assert session.of(UsageUpdated)[-1].session.audio_s == 2


def test_another_provider_has_other_prices():
    session = Session(prices={**PRICES, "asked-for": Prices(input_text=7_000_000)})
    session.answer(3)
    session.happen(ProviderSwitched(from_provider="o", to_provider="p", reason="asked"))
    session.answer(3)
    assert [bill.cost for bill in session.of(UsageUpdated)] == [3, 24]


def test_what_has_no_price_is_said_once_and_left_out():
    session = Session(prices=PRICES)
    for _ in range(2):
        session.happen(UsageReported(usage=used(5), model="unheard-of"))
    [warning] = session.of(ConfigWarning)
    assert "'unheard-of'" in warning.message
    assert [bill.cost for bill in session.of(UsageUpdated)] == [None, None]
    session.answer(2)
    assert session.of(UsageUpdated)[-1].cost == 2


def test_at_the_limit_it_leaves_once():
    session = Session(UsageLimit(tokens=10))
    session.answer(6)
    assert (session.of(UsageLimitReached), session.left) == ([], [])
    session.answer(4)
    session.answer(4)
    assert session.of(UsageLimitReached) == [UsageLimitReached(tokens=10)]
    assert session.left == ["usage_limit"]


def test_cost_is_limited_where_prices_are_known():
    session = Session(UsageLimit(cost=8), PRICES)
    session.answer(7)
    assert session.left == []
    session.answer(7)
    assert session.left == ["usage_limit"]
    assert session.of(UsageLimitReached) == [UsageLimitReached(tokens=14, cost=14)]
    with pytest.raises(ConfigurationError, match="needs prices"):
        UsageMeter(UsageLimit(cost=8))


@pytest.mark.parametrize("limit", [{"tokens": 0}, {"cost": 0}, {"token": 3}])
def test_impossible_limits_are_refused(limit):
    with pytest.raises(ValueError):
        UsageLimit(**limit)
