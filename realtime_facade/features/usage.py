"""Counts what a session uses and costs, and ends it politely at a limit."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ConfigurationError
from ..events import (
    ConfigWarning,
    Event,
    ProviderSwitched,
    ResponseDone,
    SessionStarted,
    TurnEnded,
    Usage,
    UsageLimitReached,
    UsageReported,
    UsageUpdated,
)
from ..prices import PriceList, cost_of
from ..session.observer import Control, Observer


class UsageLimit(BaseModel):
    """How much a session may use; the first limit that is reached counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Annotated[int, Field(gt=0)] | None = None
    """Of all answers together, with all that they were made from."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """In the currency of the prices, which have to be given."""


class UsageMeter(Observer):
    """Emits `UsageUpdated` with every bill.

    Args:
        limit: At it comes `UsageLimitReached`, once.
        prices: What it costs.
        leave: Called at the limit, to end the session politely with a reason: `usage_limit`.

    Raises:
        ConfigurationError: If a cost is limited and no prices are given.
        MissingExtra: If published prices are wanted and the extra `prices` is not installed.
    """

    def __init__(
        self,
        limit: UsageLimit | None = None,
        prices: PriceList | None = None,
        leave: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._limit = limit or UsageLimit()
        self._prices: PriceList | None = prices
        self._leave = leave
        if prices is not None:
            cost_of(prices, "", Usage())
        elif self._limit.cost is not None:
            raise ConfigurationError(
                "a limit of cost needs prices",
                advice='pass prices="published", or a table of your own',
            )
        self._model = ""
        self._turn = Usage()
        self._session = Usage()
        self._cost: float | None = None
        self._unpriced: set[str] = set()
        self._reached = False

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def on_event(self, event: Event) -> None:
        """Count bills."""
        match event:
            case SessionStarted():
                # What the provider calls it; a deployment's own name has no price.
                self._model = event.model or self._control.profile.model
            case ProviderSwitched():
                self._model = self._control.profile.model
            case ResponseDone(usage=Usage() as usage):
                self._count(usage, self._model)
            case UsageReported():
                self._count(event.usage, event.model or self._model)
            case TurnEnded():
                self._turn = Usage()

    def _count(self, usage: Usage, model: str) -> None:
        self._turn += usage
        self._session += usage
        self._add_cost(usage, model)
        self._control.emit(UsageUpdated(turn=self._turn, session=self._session, cost=self._cost))
        tokens, cost = self._limit.tokens, self._limit.cost
        if not self._reached and (
            (tokens is not None and self._session.total >= tokens)
            or (cost is not None and self._cost is not None and self._cost >= cost)
        ):
            self._reached = True
            self._control.emit(UsageLimitReached(tokens=self._session.total, cost=self._cost))
            self._leave("usage_limit")

    def _add_cost(self, usage: Usage, model: str) -> None:
        if self._prices is None:
            return
        cost = cost_of(self._prices, model, usage)
        if cost is not None:
            self._cost = (self._cost or 0.0) + cost
        elif model not in self._unpriced:
            self._unpriced.add(model)
            self._control.emit(
                ConfigWarning(
                    setting="prices",
                    message=f"no price is known for {model!r}: its part of the cost is left out",
                )
            )
