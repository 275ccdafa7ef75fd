"""Hands events to those who asked for them; nobody waits for anybody else.

The one event bus of a session: decorators, listeners and iterators all subscribe here. Each
handler has its own worker and its own bounded queue, so a slow one delays only itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ..events import AudioDropped, ErrorOccurred, Event, SessionEnded
from ..tools.run import is_async
from .mailbox import Mailbox

logger = logging.getLogger("realtime_facade")

Handler = Callable[[Any], Awaitable[Any] | Any]


class Subscription:
    """One handler of some kinds of events."""

    def __init__(self, bus: "EventBus", kinds: tuple[type[Event], ...]) -> None:
        self.kinds = kinds
        self.mailbox = Mailbox()
        self._bus = bus

    def cancel(self) -> None:
        """Stop getting events; what waits is still delivered."""
        self._bus.unsubscribe(self)


class EventBus:
    """Subscriptions by type of event. `Event` itself stands for all types."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._by_type: dict[type[Event], tuple[Mailbox, ...]] = {}
        self._workers: dict[asyncio.Task[None], Subscription] = {}
        self._idle: list[tuple[Subscription, Handler]] = []
        """Handlers that have no worker yet, since nothing has happened."""

    def subscribe(
        self, kinds: type[Event] | tuple[type[Event], ...], handler: Handler
    ) -> Subscription:
        """Call `handler(event)` for each event of `kinds`, one at a time, in order.

        A sync handler runs in a worker thread. A handler that raises is reported as
        `ErrorOccurred` and keeps being called. Needs no running event loop.
        """
        subscription = self.open(kinds)
        self._idle.append((subscription, handler))
        return subscription

    def open(self, kinds: type[Event] | tuple[type[Event], ...]) -> Subscription:
        """A subscription that the caller reads by itself, through its mailbox."""
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        subscription = Subscription(self, kinds)
        self._subscriptions.append(subscription)
        self._by_type.clear()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Send nothing more to `subscription`."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._by_type.clear()
        subscription.mailbox.close()

    def publish(self, event: Event) -> None:
        """Queue the event for everybody who wants it. Never waits."""
        kind = type(event)
        mailboxes = self._by_type.get(kind)
        if mailboxes is None:
            mailboxes = tuple(s.mailbox for s in self._subscriptions if issubclass(kind, s.kinds))
            self._by_type[kind] = mailboxes
        for mailbox in mailboxes:
            self.deliver(mailbox, event)

    def deliver(self, mailbox: Mailbox, event: Event) -> None:
        """Queue the event in one mailbox; a reader that has stopped reading loses it."""
        if self._idle:
            self._start_workers()
        try:
            dropped = mailbox.put(event)
        except OverflowError:
            if mailbox.lost == 1:  # once: a log must not be flooded either
                logger.error("a reader of events has stopped reading; %s was dropped", event.type)
        else:
            if dropped:
                self.publish(AudioDropped(direction="output", duration_ms=dropped))

    def owns(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a handler runs in this task."""
        return task in self._workers

    def drop_audio(self) -> None:
        """Forget audio that waits for slow readers: it became stale."""
        for subscription in self._subscriptions:
            subscription.mailbox.drop_audio()

    async def close(self, grace_s: float = 2.0) -> None:
        """Let handlers finish what is queued, at most `grace_s`, then cancel them."""
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)
        workers = set(self._workers)
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=grace_s)
        for worker in late:
            logger.warning(
                "%s did not finish within %g s and is cancelled", worker.get_name(), grace_s
            )
            worker.cancel()
        if late:
            await asyncio.wait(late)

    def _start_workers(self) -> None:
        for subscription, handler in self._idle:
            worker = asyncio.create_task(
                self._work(subscription.mailbox, handler), name=f"handler {_name(handler)}"
            )
            self._workers[worker] = subscription
            worker.add_done_callback(lambda done: self._workers.pop(done, None))
        self._idle.clear()

    async def _work(self, mailbox: Mailbox, handler: Handler) -> None:
        asynchronous = is_async(handler)
        while (event := await mailbox.get()) is not None:
            try:
                if asynchronous:
                    await handler(event)
                else:
                    await asyncio.to_thread(handler, event)
            except Exception as error:
                logger.exception("handler %s failed", _name(handler))
                if not isinstance(event, ErrorOccurred | SessionEnded):
                    self.publish(
                        ErrorOccurred(
                            message=f"handler {_name(handler)} failed: {error!r}",
                            code="handler_failed",
                            cause="application",
                        )
                    )


def _name(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
