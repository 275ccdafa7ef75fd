"""How a connection is had again: attempts, the pauses between them, and who takes over."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from ..config import RealtimeConfig
from ..errors import RealtimeConnectionError, RealtimeError
from ..events import ConnectionChanged, ConnectionState
from ..providers.base import Past, Profile, Provider
from .link import Link

Dial = Callable[[Provider, RealtimeConfig, Callable[[Profile], Past]], Awaitable[Link]]
"""Opens a connection that the provider has accepted; raises `RealtimeError`."""

FIRST_PAUSE_S, LONGEST_PAUSE_S, JITTER_S = 0.05, 0.6, 0.1
"""Between attempts. People wait at the other end, so the pause stays short; the budget bounds how
often."""
ATTEMPT_S = 5.0
"""For one attempt: a server that takes longer to accept is tried anew."""
FAILOVER_PATIENCE_S = 5.0
"""How long a provider is tried again while another one could take over."""
STABLE_S = 10.0
"""A connection that has lived so long was a good one, though nobody may have spoken."""
ACCOUNT = ("authentication", "quota")
"""Causes of a refusal that have nothing to do with a conversation's handle."""


class Teller(Protocol):
    """Who knows what a new connection has to be told."""

    @property
    def config(self) -> RealtimeConfig:
        """The configuration in force."""
        ...

    def past(self, profile: Profile) -> Past:
        """What a new connection has to know."""
        ...

    def forget_handle(self) -> None:
        """The provider refused to resume: tell it everything next time."""


class Reach:
    """Finds a provider who answers, for one conversation.

    Args:
        dial: Opens connections.
        teller: Says what they begin with.
        report: Told of every attempt.
    """

    def __init__(
        self, dial: Dial, teller: Teller, report: Callable[[ConnectionChanged], None]
    ) -> None:
        self._dial = dial
        self._teller = teller
        self._report = report
        self._trouble_since: float | None = None
        """When the first of several losses was, between which nothing got done."""
        self._losses = 0
        self._used_at = 0.0

    def used(self) -> None:
        """A connection is in use from now on."""
        self._used_at = asyncio.get_running_loop().time()

    def works(self) -> None:
        """An answer came through: what was lost before is no sign any more."""
        self._trouble_since, self._losses = None, 0

    async def anybody(
        self, provider: Provider, others: Sequence[Provider], error: RealtimeError | None
    ) -> tuple[Link, Provider]:
        """A connection to `provider`, or else to the next one of `others` that can be had.

        Args:
            provider: The one in use.
            others: Who could take over, in order.
            error: Why the connection before ended; None if that was our own wish.

        Raises:
            RealtimeError: Why the last one could not be had.
        """
        budget_s = self._teller.config.reconnect_budget_s
        patience_s = min(budget_s, FAILOVER_PATIENCE_S) if others else budget_s
        left_s = patience_s - self._troubled_s()
        failed = error
        if error is None or (error.retryable and left_s > 0):
            # A connection that breaks as soon as it is used is not made again at once.
            if self._losses:
                await asyncio.sleep(min(FIRST_PAUSE_S * 2**self._losses, LONGEST_PAUSE_S))
            try:
                return await self._one(provider, left_s), provider
            except RealtimeError as refused:
                failed = refused
        # Another provider has to be told everything.
        self._teller.forget_handle()
        for other in others:
            if failed is not None:
                self._report(because(failed, "reconnecting", other))
            try:
                return await self._one(other, FAILOVER_PATIENCE_S), other
            except RealtimeError as refused:
                failed = refused
        assert failed is not None  # noqa: S101 - somebody was tried
        raise failed

    def _troubled_s(self) -> float:
        """How long nothing has got done; 0 for a first loss."""
        now = asyncio.get_running_loop().time()
        if self._trouble_since is None or now - self._used_at > STABLE_S:
            self._trouble_since, self._losses = now, 0
            return 0.0
        self._losses += 1
        return now - self._trouble_since

    async def _one(self, provider: Provider, budget_s: float) -> Link:
        resumed = False

        def past(profile: Profile) -> Past:
            nonlocal resumed
            past = self._teller.past(profile)
            resumed = past.handle is not None
            return past

        def is_worth_another(error: BaseException) -> bool:
            if not isinstance(error, RealtimeError):
                return False
            if resumed and not error.retryable and error.cause not in ACCOUNT:
                self._teller.forget_handle()
                return True
            return error.retryable

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, RealtimeError):
                attempt = state.attempt_number + 1
                self._report(because(error, "reconnecting", provider, attempt=attempt))

        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_worth_another),
            wait=wait_exponential_jitter(FIRST_PAUSE_S, LONGEST_PAUSE_S, jitter=JITTER_S),
            stop=stop_after_delay(budget_s),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                while True:
                    config = self._teller.config
                    link = await self._in_time(self._dial(provider, config, past), provider)
                    if self._teller.config is config:
                        return link
                    await link.close()
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _in_time(self, dialling: Awaitable[Link], provider: Provider) -> Link:
        try:
            async with asyncio.timeout(ATTEMPT_S):
                return await dialling
        except TimeoutError:
            raise RealtimeConnectionError(
                f"{provider.name} did not accept the session within {ATTEMPT_S:g} s",
                provider=provider.name,
                retryable=True,
            ) from None


def because(
    error: RealtimeError,
    state: ConnectionState,
    provider: Provider,
    *,
    code: int | None = None,
    attempt: int = 1,
) -> ConnectionChanged:
    """The change of state that an error led to."""
    return ConnectionChanged(
        state=state,
        provider=provider.name,
        reason=error.message,
        code=code,
        cause=error.cause,
        attempt=attempt,
        advice=error.advice,
    )
