"""The state machine of the connection: made, lost and made again, renewed, switched.

    connecting ──▶ connected ──▶ renewing ──▶ connected      before a limit, at a quiet moment
                       │
                       ├──▶ reconnecting ──▶ connected       after a loss
                       └──▶ closed

It decides when there is a connection and to whom; what has to be said over it is its host's.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from ..errors import RealtimeError, SessionClosed
from ..events import ConnectionChanged, ConnectionState, Event, ProviderSwitched, SessionStarted
from ..providers.base import Profile, Provider
from ..providers.registry import provider_named
from .link import Link, LinkOwner
from .reach import Dial, Reach, Teller, because

logger = logging.getLogger("realtime_facade")

RENEW_AT = 0.9
"""Of a connection's longest life: from then on the next quiet moment is used."""
LAST_MOMENT_S = 5.0
"""Before an announced end: the connection is renewed, quiet or not."""
GOODBYE_S = 0.3
"""How long the next connection waits for the goodbyes of the one before."""
RETRY_S = 5.0
"""After a renewal that failed; the old connection still serves."""
LEAST_LISTENING_S = 0.1
"""Between two looks at a listener who takes longer than expected."""


class Host(LinkOwner, Teller, Protocol):
    """Whose connection it is."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is said, expected or computed, so that nobody notices a change."""
        ...

    @property
    def unheard_s(self) -> float:
        """How much of what was said is still to be heard."""
        ...

    @property
    def position(self) -> int:
        """Grows with the conversation."""
        ...

    @property
    def is_restored(self) -> bool:
        """Whether the newest connection was told everything."""
        ...

    def joined(self, profile: Profile) -> None:
        """A connection is going to be used."""

    def left(self) -> None:
        """There is no connection now."""

    def arrived(self, *, overlapped: bool) -> None:
        """There is a new connection; say what it has to hear."""

    def give_up(self, error: RealtimeError, code: int | None) -> None:
        """There will be no connection any more."""

    def emit(self, event: Event) -> None:
        """Tell everybody."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "asyncio.Task[None]":
        """Call back unless the session ends before."""
        ...


class ConnectionKeeper:
    """Keeps `link` alive as long as the conversation lasts.

    Args:
        providers: The first one is used; the others take over in this order.
        dial: Opens connections.
        host: Is told and asked.
    """

    def __init__(self, providers: Sequence[Provider], dial: Dial, host: Host) -> None:
        self.link: Link | None = None
        """The connection in use; None while there is none."""
        self.there = asyncio.Event()
        """Set while there is a connection, and when there will be none any more."""
        self.provider = providers[0]
        self._announced = providers[0]
        """Of whom the application knows that it holds the conversation."""
        self.state: ConnectionState = "connecting"
        self.connections = 0
        """How many there were, the one in use included."""
        self._providers = list(providers)
        self._dial = dial
        self._host = host
        self._due: str | None = None
        """Why a renewal waits for a quiet moment."""
        self._target: Provider | None = None
        """Whom the renewal goes to, if to another."""
        self._switched: asyncio.Future[None] | None = None
        self._timers: list[asyncio.Task[None]] = []
        self._listening: asyncio.Task[None] | None = None
        """Until what was said has been heard, while a renewal is due."""
        self._work: set[asyncio.Task[None]] = set()
        """Ways under way; all but the newest are being given up."""
        self._open: set[Link] = set()
        """Links that are not closed yet; more than one while one takes over from another."""
        self._left_at = 0.0
        self._reach = Reach(dial, host, self._enter)

    # -- from outside -------------------------------------------------------------------------

    async def begin(self) -> SessionStarted:
        """Make the first connection, to the first provider that can be had.

        Raises:
            RealtimeError: Why the first one could not; notes tell of the others.
        """
        self._enter(ConnectionChanged(state="connecting", provider=self.provider.name))
        errors: list[RealtimeError] = []
        for provider in self._providers:
            if errors:
                self._enter(because(errors[-1], "connecting", provider))
            try:
                link = await self._dial(provider, self._host.config, self._host.past)
            except RealtimeError as error:
                errors.append(error)
                continue
            self._announced = provider
            self._use(link, provider)
            if self.link is link:  # else it is lost already
                self._enter(ConnectionChanged(state="connected", provider=provider.name))
            return link.accepted.result()
        for other in errors[1:]:
            errors[0].add_note(f"then: {other}")
        raise errors[0]

    def lost(self, error: RealtimeError, code: int | None) -> None:
        """The link in use is gone."""
        lost = self._leave()
        if lost is not None:
            self._start(lambda: self._recover(lost, error, code))

    def works(self) -> None:
        """An answer came through: what was lost before is no sign any more."""
        self._reach.works()

    def renew(self, reason: str, *, within_s: float | None = None) -> None:
        """Change to a fresh connection at the next quiet moment, at the latest `within_s`."""
        self._due = reason
        if within_s is not None:
            self._timers.append(
                self._host.call_later(max(0.0, within_s - LAST_MOMENT_S), self._force)
            )
        self.consider()

    def renew_now(self, reason: str) -> None:
        """Leave the connection at once; what is said meanwhile waits for the next one."""
        link = self._leave()
        if link is not None:
            self._start(lambda: self._move(link, reason))

    async def switch(self, provider: str | Provider, reason: str) -> None:
        """Go on with another provider at the next quiet moment.

        Raises:
            RealtimeError: If it cannot be had; the conversation goes on with the old one.
        """
        known = {known.name: known for known in self._providers}
        if isinstance(provider, str):
            provider = known.get(provider) or provider_named(provider)
        self._fail_switch(SessionClosed("another switch was asked for"))
        if provider is self.provider:
            return
        if provider not in self._providers:
            self._providers.append(provider)
        self._switched = asyncio.get_running_loop().create_future()
        self._target = provider
        self.renew(reason)
        await asyncio.shield(self._switched)

    def consider(self) -> None:
        """Renew now if that is due and nobody notices. Cheap; called whenever it became quiet."""
        reason = self._due
        if reason is None or self.link is None or not self._host.is_quiet:
            return
        if self._work or (self._listening and not self._listening.done()):
            return
        # Only the connection that said it can be told where the listener cut it short.
        if unheard_s := self._host.unheard_s:
            delay_s = max(unheard_s, LEAST_LISTENING_S)
            self._listening = self._host.call_later(delay_s, self._listened)
        else:
            self._start(lambda: self._renew(reason))

    def _listened(self) -> None:
        self._listening = None
        self.consider()

    async def close(self, *, drain_s: float) -> None:
        """Leave for good. Idempotent."""
        await self._stop_work()
        for link in list(self._open):
            await link.close(drain_s=drain_s)
        self._open.clear()
        self.link = None
        self.there.set()
        if self.state != "closed":
            self._enter(ConnectionChanged(state="closed", provider=self.provider.name))
        self._fail_switch(SessionClosed("the session was closed"))

    # -- the ways from one connection to another ----------------------------------------------

    async def _recover(self, old: Link, error: RealtimeError, code: int | None) -> None:
        await self._hang_up(old)
        if not self._host.config.reconnect:
            self._give_up(error, code)
            return
        self._enter(because(error, "reconnecting", self.provider, code=code))
        try:
            link, provider = await self._reach.anybody(self.provider, self._others, error)
        except RealtimeError as failed:
            # What happened first says more than that the attempts failed too, unless one was final.
            self._give_up(error if failed.retryable else failed, code)
            return
        self._arrive(link, provider, error.message)

    async def _move(self, old: Link, reason: str) -> None:
        """Break, then make: for what the running connection cannot do."""
        self._enter(ConnectionChanged(state="renewing", provider=self.provider.name, reason=reason))
        await self._hang_up(old, 1.0)
        try:
            link, provider = await self._reach.anybody(self.provider, self._others, None)
        except RealtimeError as failed:
            self._give_up(failed, None)
            return
        self._arrive(link, provider, reason)

    async def _renew(self, reason: str) -> None:
        old, provider = self.link, self._target or self.provider
        if old is None:
            return  # lost since it was decided
        if provider is self.provider and not old.profile.supports_overlap:
            self.renew_now(reason)
            return
        config, position = self._host.config, self._host.position
        self._enter(ConnectionChanged(state="renewing", provider=provider.name, reason=reason))
        try:
            link = await self._dial(provider, config, self._host.past)
        except RealtimeError as error:
            logger.warning("the connection could not be renewed: %s", error)
            self._enter(ConnectionChanged(state="connected", provider=self.provider.name))
            if self._target is not None:
                self._fail_switch(error)
            else:
                self._due = None
                again = self._host.call_later(RETRY_S, lambda: self.renew(reason))
                self._timers.append(again)
            return
        same = self._host.config is config and self._host.position == position
        if not (same and self._host.is_quiet):
            # Somebody spoke meanwhile, and the new connection does not know of it.
            await link.close()
            self._enter(ConnectionChanged(state="connected", provider=self.provider.name))
            return
        self._left_at = asyncio.get_running_loop().time()
        self.link = None
        self._arrive(link, provider, reason, overlapped=True)
        await self._hang_up(old, 1.0)

    # -- inside -------------------------------------------------------------------------------

    @property
    def _others(self) -> list[Provider]:
        """Who could take over, a wanted one first."""
        others = [other for other in self._providers if other is not self.provider]
        return sorted(others, key=lambda other: other is not self._target)

    def _use(self, link: Link, provider: Provider) -> None:
        self.link, self.provider = link, provider
        self.there.set()
        self.connections += 1
        self._reach.used()
        self._host.joined(link.profile)
        self._open.add(link)
        self._clear_timers()
        if self._target in (None, provider):
            self._due = None
        limit_s = self._host.config.renew_after_s
        if limit_s is None and link.profile.session_limit_s is not None:
            limit_s = link.profile.session_limit_s * RENEW_AT
        if limit_s is not None and self._host.config.reconnect:
            self._timers.append(
                self._host.call_later(limit_s, lambda: self.renew("the session limit"))
            )
        link.adopt(self._host)

    def _arrive(
        self, link: Link, provider: Provider, reason: str, *, overlapped: bool = False
    ) -> None:
        gap_ms = 0.0
        if not overlapped:
            gap_ms = (asyncio.get_running_loop().time() - self._left_at) * 1_000
        self._use(link, provider)
        if self.link is not link:
            return  # lost again at once; `lost` goes on from here
        before, self._announced = self._announced, provider
        if provider is not before:
            self._target = None
            self._host.emit(
                ProviderSwitched(
                    from_provider=before.name, to_provider=provider.name, reason=reason
                )
            )
            if self._switched is not None and not self._switched.done():
                self._switched.set_result(None)
        self._enter(
            ConnectionChanged(
                state="connected",
                provider=provider.name,
                reason=reason,
                gap_ms=gap_ms,
                state_restored=self._host.is_restored,
            )
        )
        self._host.arrived(overlapped=overlapped)

    def _leave(self) -> Link | None:
        link, self.link = self.link, None
        self._clear_timers()
        if link is not None:
            self.there.clear()
            self._left_at = asyncio.get_running_loop().time()
            self._host.left()
        return link

    def _clear_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _hang_up(self, link: Link, drain_s: float = 0.0) -> None:
        """Close a link; one whose peer takes its time is left to itself until `close`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s + GOODBYE_S):
                await link.close(drain_s=drain_s)
                self._open.discard(link)

    def _give_up(self, error: RealtimeError, code: int | None) -> None:
        self._enter(because(error, "closed", self.provider, code=code, attempt=0))
        self._host.give_up(error, code)

    def _force(self) -> None:
        if self._due is not None:
            self.renew_now(self._due)

    def _fail_switch(self, error: RealtimeError) -> None:
        self._target = self._due = None
        if self._switched is not None and not self._switched.done():
            self._switched.set_exception(error)
            self._switched.exception()  # retrieved: nobody may be waiting any more

    def _enter(self, change: ConnectionChanged) -> None:
        self.state = change.state
        self._host.emit(change)

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        before = set(self._work)

        async def after() -> None:
            await _cancel(before)
            await work()

        task = asyncio.create_task(after(), name="realtime connection")
        self._work.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        # What became due meanwhile has nobody else to begin it.
        self.consider()

    async def _stop_work(self) -> None:
        # Also what was cancelled for later work: it may still be saying goodbye.
        current = asyncio.current_task()
        await _cancel({task for task in self._work if task is not current})


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
