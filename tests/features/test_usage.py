"""Bills are added up; at the limit the running turn is finished and heard, then it ends."""

from collections.abc import Callable

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    ConfigWarning,
    ErrorOccurred,
    Event,
    Interrupted,
    ProviderSwitched,
    ResponseDone,
    ResponseStarted,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
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
from realtime_facade.session.state import Conversation, Phase

RATE = 24_000
PRICES = {"m": Prices(input_text=1_000_000), "ears": Prices(audio_hour=3_600)}


class Session:
    """A session whose time passes when `wait` is called."""

    def __init__(self, limit: UsageLimit | None = None, prices=None) -> None:
        self.now = 0.0
        self.profile = Profile(provider="p", model="asked-for")
        self.config = RealtimeConfig()
        self.playback = Playback(RATE, clock=lambda: self.now)
        self.conversation = Conversation(answers_speech=True)
        self.timer: tuple[float, Callable[[], None]] | None = None
        self.events: list[Event] = []
        self.ended: list[tuple[float, str]] = []
        self.feature = UsageMeter(limit, prices)
        self.feature.attach(self)
        self.happen(SessionStarted(model="m"))

    @property
    def phase(self) -> Phase:
        return self.conversation.phase

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.timer = (self.now + delay_s, callback)
        return self.timer

    def emit(self, event: Event) -> None:
        self.happen(event)

    def hang_up(self, reason: str) -> None:
        self.ended.append((round(self.now, 3), reason))

    def happen(self, *events: Event) -> None:
        for event in events:
            self.conversation.on_event(event)
            self.feature.on_event(event)
            self.events.append(event)

    def answer(self, tokens: int, seconds: float = 0.0, *, turn_ends: bool = True) -> None:
        """An answer, which arrives in no time."""
        self.happen(ResponseStarted(response_id="r"))
        if seconds:
            self.playback.write("a", bytes(2 * round(seconds * RATE)))
        self.happen(ResponseDone(response_id="r", usage=used(tokens)))
        if turn_ends:
            self.happen(TurnEnded(response_id="r"))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timer is not None and self.timer[0] <= end:
            (self.now, callback), self.timer = self.timer, None
            callback()
        self.now = end

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
    assert session.ended == []


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


def test_the_answer_that_reaches_the_limit_is_heard_to_its_end():
    session = Session(UsageLimit(tokens=10))
    session.answer(6, seconds=1)
    session.wait(5)
    assert session.of(UsageLimitReached) == []
    session.answer(4, seconds=3)
    assert session.of(UsageLimitReached) == [UsageLimitReached(tokens=10)]
    session.wait(2.9)
    assert session.ended == []
    session.wait(1)
    assert session.ended == [(8.0, "usage_limit")]


def test_a_loudspeaker_that_lags_is_waited_for():
    session = Session(UsageLimit(tokens=1))
    session.answer(4, seconds=1)
    session.playback.report(0)
    session.wait(2)
    assert session.ended == []
    session.playback.report(1000)
    session.wait(2)
    assert [reason for _, reason in session.ended] == ["usage_limit"]


def test_tools_and_what_is_said_about_them_belong_to_the_answer():
    session = Session(UsageLimit(tokens=1))
    session.answer(4, turn_ends=False)
    session.wait(60)
    session.answer(4, seconds=1)
    assert session.ended == []
    assert len(session.of(UsageLimitReached)) == 1
    session.wait(1.5)
    assert session.ended == [(61.0, "usage_limit")]


def test_whoever_cuts_in_on_the_rest_ends_it():
    session = Session(UsageLimit(tokens=1))
    session.answer(4, seconds=10)
    session.wait(2)
    session.happen(SpeechStarted())
    assert session.ended == []
    session.playback.cut()
    session.happen(Interrupted())
    assert session.ended == [(2.0, "usage_limit")]


def test_no_further_answer_begins():
    session = Session(UsageLimit(tokens=1))
    session.answer(4, seconds=10)
    session.happen(ResponseStarted(response_id="next"))
    assert session.ended == [(0.0, "usage_limit")]


def test_a_transcript_can_reach_the_limit_before_its_answer_which_is_still_given():
    session = Session(UsageLimit(tokens=5))
    session.happen(SpeechStarted(), SpeechStopped(), UsageReported(usage=used(5), model="ears"))
    assert session.ended == []
    session.answer(1, seconds=1)
    session.wait(2)
    assert session.ended == [(1.0, "usage_limit")]


def test_a_transcript_that_comes_after_its_answer_can_too():
    session = Session(UsageLimit(tokens=5))
    session.answer(1)
    session.happen(UsageReported(usage=used(5)))
    assert session.ended[0] == (0.0, "usage_limit")


def test_an_answer_that_fails_is_not_waited_for():
    session = Session(UsageLimit(tokens=5))
    session.happen(SpeechStarted(), SpeechStopped(), UsageReported(usage=used(5)))
    session.happen(ErrorOccurred(message="no answer today"))
    assert session.ended[0][1] == "usage_limit"


def test_cost_is_limited_where_prices_are_known():
    session = Session(UsageLimit(cost=8), PRICES)
    session.answer(7)
    assert session.ended == []
    session.answer(7)
    assert session.ended == [(0.0, "usage_limit")]
    assert session.of(UsageLimitReached) == [UsageLimitReached(tokens=14, cost=14)]
    with pytest.raises(ConfigurationError, match="needs prices"):
        UsageMeter(UsageLimit(cost=8))


@pytest.mark.parametrize("limit", [{"tokens": 0}, {"cost": 0}, {"token": 3}])
def test_impossible_limits_are_refused(limit):
    with pytest.raises(ValueError):
        UsageLimit(**limit)
