"""Connections that are lost, renewed, refused and switched, over memory."""

import asyncio
import logging
from itertools import pairwise

import pytest

from realtime_facade.commands import UpdateSession
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import SeedMessage
from realtime_facade.errors import (
    ConfigurationError,
    RealtimeConnectionError,
    RealtimeError,
    SessionClosed,
)
from realtime_facade.events import (
    AudioChunk,
    ConnectionChanged,
    ErrorOccurred,
    ProviderSwitched,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SessionExpiring,
    SessionResumable,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.providers.base import Profile
from realtime_facade.session import connection, reach
from realtime_facade.session.observer import Observer
from realtime_facade.transport.base import TransportClosed

from .conftest import PlainProvider

PROFILE = Profile(provider="plain", model="test", supports_truncation=True, supports_cancel=True)
BUSY = RealtimeConnectionError("come back later", code="503", retryable=True, cause="provider")
FORBIDDEN = RealtimeConnectionError("no such key", code="401", cause="authentication")
VOICE = b"\x00\x10" * 480
"""20 ms that can be heard."""


def another(name: str = "other", connections: int = 1) -> PlainProvider:
    provider = PlainProvider(Profile(provider=name, model="test"))
    provider.name = name
    provider.connections = connections
    return provider


def changes(conversation) -> list[str]:
    return [change.state for change in conversation.of(ConnectionChanged)]


async def until(condition, timeout_s: float = 3) -> None:
    """Wait for what nothing but time and the loop brings."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    await asyncio.sleep(0)


async def settled(conversation, count: int) -> None:
    """Wait for the `count`-th change of the connection since the session was handed over."""
    await until(lambda: len(changes(conversation)) >= count)


def break_next(provider: PlainProvider) -> None:
    """The next connection is accepted, and gone before anybody can use it."""
    make = provider.dial

    async def broken(*asked):
        provider.dial = make
        link = await make(*asked)
        await provider.servers[-1].close(1011, "at once")
        for _ in range(5):
            await asyncio.sleep(0)
        return link

    provider.dial = broken


async def answer(conversation, words: str, response: str = "r") -> None:
    """The provider says something, completely."""
    await conversation.receive(
        ResponseStarted(response_id=response),
        TranscriptDelta(
            text=words,
            is_final=True,
            full_text=words,
            item_id=f"i-{response}",
            response_id=response,
        ),
        ResponseDone(response_id=response),
        TurnEnded(response_id=response),
    )


# -- a loss --------------------------------------------------------------------------------------


async def test_a_lost_connection_is_made_again(start):
    conversation = await start(connections=2)
    await answer(conversation, "Hello.")
    await conversation.server.close(1001, "going away")
    await settled(conversation, 2)
    lost, again = conversation.of(ConnectionChanged)
    assert (lost.state, lost.code, lost.reason, lost.attempt) == (
        "reconnecting",
        1001,
        "closed: going away",
        1,
    )
    assert (again.state, again.provider, again.state_restored) == ("connected", "plain", True)
    assert 0 < again.gap_ms < 1_000
    assert conversation.provider.pasts[1].items == (SeedMessage.assistant("Hello."),)
    assert conversation.of(SessionStarted) == [], "the conversation has not begun again"
    assert conversation.of(ErrorOccurred) == []
    assert conversation.session.session_id == "s-2"
    assert conversation.session.is_active
    assert await conversation.sent() == [], "nobody has asked for anything"


async def test_the_conversation_goes_on_over_the_new_connection(start):
    conversation = await start(connections=2)
    await conversation.server.close(None)
    await settled(conversation, 2)
    assert await conversation.session.send_text("Hi") == "sent"
    assert (await conversation.sent(1))[0]["text"] == "Hi"
    await answer(conversation, "Hello.")
    assert conversation.session.history.format() == "User: Hi\nAssistant: Hello."


async def test_what_the_provider_said_before_it_hung_up_is_the_reason(start):
    conversation = await start(connections=2)
    await conversation.receive(
        ErrorOccurred(message="expired", code="session_expired", retryable=True, fatal=True)
    )
    await conversation.server.close(1001)
    await settled(conversation, 2)
    assert conversation.of(ConnectionChanged)[0].reason == "expired"
    assert conversation.of(ErrorOccurred) == []


async def test_a_final_error_ends_the_session(start):
    conversation = await start(connections=2)
    await conversation.receive(
        ErrorOccurred(message="no money", cause="quota", advice="pay", retryable=False, fatal=True)
    )
    await conversation.server.close(1000)
    error = await conversation.session.wait_closed()
    await until(lambda: conversation.of(SessionEnded))
    assert error.message == "no money"
    assert len(conversation.provider.dialled) == 1
    assert changes(conversation)[-1] == "closed"
    assert conversation.of(ErrorOccurred)[0].fatal
    [ended] = conversation.of(SessionEnded)
    assert (ended.cause, ended.advice, ended.retryable) == ("quota", "pay", False)
    with pytest.raises(SessionClosed) as raised:
        await conversation.session.send_text("Hi")
    assert raised.value.__cause__ is error


async def test_refusals_that_pass_are_waited_for_longer_each_time(start):
    conversation = await start(connections=2)
    conversation.provider.refusals = [BUSY] * 3
    await conversation.server.close(1006)
    await settled(conversation, 5)
    assert changes(conversation) == ["reconnecting"] * 4 + ["connected"]
    tries = conversation.of(ConnectionChanged)[:4]
    assert [change.attempt for change in tries] == [1, 2, 3, 4]
    assert [change.reason for change in tries[1:]] == ["come back later"] * 3
    _, *times = conversation.provider.dialled
    pauses = [after - before for before, after in pairwise(times)]
    for number, pause in enumerate(pauses):
        assert pause >= reach.FIRST_PAUSE_S * 2**number


async def test_a_refusal_that_is_final_is_not_waited_for(start):
    conversation = await start(connections=2)
    conversation.provider.refusals = [BUSY, FORBIDDEN]
    await conversation.server.close(1006)
    error = await conversation.session.wait_closed()
    assert (error.message, error.cause) == ("no such key", "authentication")
    assert len(conversation.provider.dialled) == 3


async def test_the_budget_bounds_how_long_it_is_tried(start):
    conversation = await start(RealtimeConfig(reconnect_budget_s=0.2), connections=2)
    conversation.provider.refusals = [BUSY] * 100
    await conversation.server.close(1006, "gone")
    error = await conversation.session.wait_closed()
    assert error.message == "closed: gone", "what happened says more than that nobody answered"
    assert 2 < len(conversation.provider.dialled) < 10


async def test_a_connection_that_breaks_as_soon_as_it_is_used_is_not_made_for_ever(start):
    conversation = await start(RealtimeConfig(reconnect_budget_s=0.5), connections=100)

    async def break_each() -> None:
        for number in range(100):
            await until(lambda n=number: len(conversation.provider.servers) > n)
            await conversation.provider.servers[number].close(1011)

    breaking = asyncio.create_task(break_each())
    await conversation.session.wait_closed()
    breaking.cancel()
    assert 2 < len(conversation.provider.servers) < 10
    times = conversation.provider.dialled
    assert times[-1] - times[-2] > times[2] - times[1]


async def test_an_answer_says_that_a_connection_is_good(start):
    conversation = await start(RealtimeConfig(reconnect_budget_s=0.2), connections=5)
    for number in range(1, 5):
        await answer(conversation, "Hello.", f"r-{number}")
        await asyncio.sleep(0.1)
        await conversation.server.close(1011)
        await settled(conversation, 2 * number)
    assert conversation.session.is_active
    assert changes(conversation) == ["reconnecting", "connected"] * 4


async def test_without_reconnecting_a_loss_is_the_end(start):
    conversation = await start(RealtimeConfig(reconnect=False), connections=2)
    await conversation.server.close(1000, "bye")
    error = await conversation.session.wait_closed()
    await until(lambda: conversation.of(SessionEnded))
    assert error.message == "closed: bye"
    assert conversation.of(SessionEnded)[0].code == 1000
    assert changes(conversation) == ["closed"]
    assert len(conversation.provider.dialled) == 1


async def test_a_connection_that_is_lost_before_it_is_used_is_made_again(start):
    conversation = await start(connections=3)
    break_next(conversation.provider)
    await conversation.server.close(1006)
    await settled(conversation, 3)
    assert changes(conversation) == ["reconnecting", "reconnecting", "connected"]
    assert conversation.of(ConnectionChanged)[1].reason == "closed: at once"
    assert len(conversation.provider.servers) == 3


# -- while there is no connection ---------------------------------------------------------------


async def test_closing_does_not_wait_for_a_connection(start):
    conversation = await start(connections=2)
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await until(lambda: len(conversation.provider.dialled) == 2)
    assert await conversation.session.send_text("Hi") == "queued"
    async with asyncio.timeout(0.5):
        await conversation.session.close()
    assert len(conversation.provider.servers) == 1
    assert changes(conversation) == ["reconnecting", "closed"]
    with pytest.raises(SessionClosed):
        conversation.session.send_audio(VOICE)


async def test_closing_between_attempts_waits_for_nothing(start):
    conversation = await start(connections=2)
    conversation.provider.refusals = [BUSY] * 100
    await conversation.server.close(1006)
    await settled(conversation, 3)
    async with asyncio.timeout(0.5):
        await conversation.session.close()


async def test_a_source_that_can_wait_waits_for_the_next_connection(start):
    conversation = await start(connections=2)
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await settled(conversation, 1)
    minute = [VOICE * 5] * 600

    async def feed() -> int:
        sent = 0
        for chunk in minute:
            await conversation.session.send_audio(chunk)
            await asyncio.sleep(0)
            sent += 1
        return sent

    feeding = asyncio.create_task(feed())
    await asyncio.sleep(0.05)
    assert not feeding.done(), "half a minute is kept, and the rest would be lost"
    conversation.provider.answers.set()
    async with asyncio.timeout(3):
        assert await feeding == len(minute)
    frames = await conversation.sent()
    assert sum(frame["bytes"] for frame in frames) == sum(map(len, minute))


async def test_a_source_that_waits_is_released_by_the_end(start):
    conversation = await start(connections=1)
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await settled(conversation, 1)

    async def feed() -> None:
        while True:
            await conversation.session.send_audio(VOICE * 50)
            await asyncio.sleep(0)

    feeding = asyncio.create_task(feed())
    await asyncio.sleep(0.02)
    assert not feeding.done()
    conversation.provider.answers.set()
    with pytest.raises(SessionClosed):
        async with asyncio.timeout(1):
            await feeding


async def test_a_change_of_the_configuration_reaches_the_next_connection(start):
    conversation = await start(connections=3)
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await until(lambda: len(conversation.provider.dialled) == 2)
    await conversation.session.update(instructions="Be brief.")
    assert conversation.session.config.instructions == "Be brief."
    conversation.provider.answers.set()
    await settled(conversation, 2)
    assert conversation.engine.connection.link.config.instructions == "Be brief."
    assert await conversation.sent() == [], "it has begun with the change"


# -- a renewal ----------------------------------------------------------------------------------


class Following(Observer):
    """A feature that keeps what it is told of the configuration."""

    def __init__(self) -> None:
        self.instructions: list[str | None] = []

    def on_command(self, command) -> None:
        if isinstance(command, UpdateSession):
            self.instructions.append(command.config.instructions)


async def test_a_new_configuration_by_a_new_connection(start):
    conversation = await start(connections=2)
    await answer(conversation, "Hello.")
    feature = Following()
    conversation.engine._observers.append(feature)
    first = conversation.server
    conversation.engine.renew(RealtimeConfig(instructions="Be brief."), "handoff")
    assert await conversation.session.send_text("Hi") == "queued"
    await settled(conversation, 2)
    renewing, connected = conversation.of(ConnectionChanged)
    assert (renewing.state, renewing.reason) == ("renewing", "handoff")
    assert (connected.state, connected.reason) == ("connected", "handoff")
    assert conversation.provider.pasts[1].items == (SeedMessage.assistant("Hello."),)
    assert conversation.engine.connection.link.config.instructions == "Be brief."
    assert feature.instructions == ["Be brief."]
    assert [frame["text"] for frame in await conversation.sent()] == ["Hi"]
    with pytest.raises(TransportClosed):
        await first.receive()


async def test_a_renewal_at_a_quiet_moment_overlaps(start):
    conversation = await start(RealtimeConfig(renew_after_s=0.05), connections=2)
    await answer(conversation, "Hello.")
    await settled(conversation, 2)
    renewing, connected = conversation.of(ConnectionChanged)
    assert (renewing.state, renewing.reason) == ("renewing", "the session limit")
    assert (connected.state, connected.gap_ms) == ("connected", 0)
    assert conversation.provider.pasts[1].items == (SeedMessage.assistant("Hello."),)
    await conversation.session.send_text("Hi")
    assert [frame["text"] for frame in await conversation.sent()] == ["Hi"]


async def test_the_microphone_is_heard_by_both_for_a_moment(start):
    conversation = await start(RealtimeConfig(renew_after_s=0.05), connections=2)
    for _ in range(150):
        conversation.session.send_audio(VOICE)
    await settled(conversation, 2)
    conversation.session.send_audio(VOICE)
    frames = await conversation.sent()
    assert sum(frame["bytes"] for frame in frames) == len(VOICE) * (100 + 1)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ([SpeechStarted()], [SpeechStopped(), ResponseStarted(response_id="r")]),
        ([ResponseStarted(response_id="r")], []),
    ],
)
async def test_nobody_is_cut_short_by_a_renewal(start, begin, end):
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=2)
    await conversation.receive(*begin)
    await asyncio.sleep(0.08)
    assert changes(conversation) == []
    await conversation.receive(*end)
    assert changes(conversation) == []
    await conversation.receive(ResponseDone(response_id="r"), TurnEnded(response_id="r"))
    await settled(conversation, 2)
    assert changes(conversation) == ["renewing", "connected"]


async def test_a_tool_is_not_cut_short_by_a_renewal(start):
    release = asyncio.Event()

    async def slow() -> str:
        """Take its time."""
        await release.wait()
        return "done"

    config = RealtimeConfig(renew_after_s=0.03, tools=[slow])
    conversation = await start(config, connections=2)
    await conversation.session.send_text("go")
    await conversation.server.send('{"type":"response_started","response_id":"r"}')
    await conversation.server.send(
        '{"type":"tool_call","call_id":"c","function_name":"slow","response_id":"r"}'
    )
    await conversation.receive(ResponseDone(response_id="r"))
    await asyncio.sleep(0.08)
    assert changes(conversation) == []
    release.set()
    frames = await conversation.sent(2)
    assert frames[-1]["output"] == "done"
    await answer(conversation, "Done.", "r2")
    await settled(conversation, 2)


async def test_an_answer_is_heard_to_its_end_before_a_renewal(start):
    """Else nobody could tell the provider where the listener cut it short."""
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=2)
    sound = AudioChunk(data=VOICE * 20, item_id="i", response_id="r")
    await conversation.receive(ResponseStarted(response_id="r"), sound)
    await conversation.receive(ResponseDone(response_id="r"), TurnEnded(response_id="r"))
    await asyncio.sleep(0.1)
    assert changes(conversation) == []
    await conversation.receive(SpeechStarted(item_id="u"))
    (truncated,) = await conversation.sent(1)
    assert (truncated["command"], truncated["item_id"]) == ("TruncateOutput", "i")
    words = TranscriptDelta(
        text="Stop", is_final=True, full_text="Stop", speaker="user", item_id="u"
    )
    await conversation.receive(SpeechStopped(item_id="u"), words)
    await answer(conversation, "Yes?", "r2")
    await settled(conversation, 2)
    assert changes(conversation) == ["renewing", "connected"]


async def test_a_new_connection_is_given_up_when_somebody_speaks_meanwhile(start):
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=3)
    provider = conversation.provider
    provider.answers.clear()
    await until(lambda: len(provider.dialled) == 2)
    await conversation.receive(SpeechStarted())
    provider.answers.set()
    await settled(conversation, 2)
    assert changes(conversation) == ["renewing", "connected"]
    old = provider.servers[0]
    await conversation.session.send_text("Hi")
    assert "Hi" in await old.receive()
    for event in (SpeechStopped(), ResponseStarted(response_id="r")):
        await old.send(event.model_dump_json())
    for event in (ResponseDone(response_id="r"), TurnEnded(response_id="r")):
        await old.send(event.model_dump_json())
    await settled(conversation, 4)
    assert changes(conversation) == ["renewing", "connected"] * 2
    assert len(provider.servers) == 3


async def test_a_connection_that_is_lost_while_it_is_renewed_is_made_again(start):
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=2)
    provider = conversation.provider
    provider.answers.clear()
    await until(lambda: len(provider.dialled) == 2)
    await conversation.server.close(1006)
    await settled(conversation, 2)
    provider.answers.set()
    await settled(conversation, 3)
    assert changes(conversation) == ["renewing", "reconnecting", "connected"]
    assert len(provider.servers) == 2
    assert len(conversation.engine.connection._open) == 1


async def test_a_renewal_that_fails_is_tried_again_and_disturbs_nobody(start, monkeypatch, caplog):
    monkeypatch.setattr(connection, "RETRY_S", 0.05)
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=2)
    conversation.provider.refusals = [FORBIDDEN]
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await settled(conversation, 2)
        await asyncio.sleep(0.02)
        assert changes(conversation) == ["renewing", "connected"], "not again at once"
        await settled(conversation, 4)
    assert len(conversation.provider.servers) == 2
    assert conversation.of(ErrorOccurred) == []


BREAK_FIRST = Profile(provider="plain", model="test", supports_overlap=False)


async def test_where_two_connections_cannot_be_the_microphone_waits(start):
    config = RealtimeConfig(renew_after_s=0.03)
    conversation = await start(config, profile=BREAK_FIRST, connections=2)
    provider = conversation.provider
    provider.answers.clear()
    await settled(conversation, 1)
    assert conversation.session.send_audio(VOICE).delivery == "queued"
    assert await conversation.session.send_text("Hi") == "queued"
    conversation.session.send_audio(2 * VOICE)
    provider.answers.set()
    await settled(conversation, 2)
    renewing, connected = conversation.of(ConnectionChanged)
    assert (renewing.state, connected.state) == ("renewing", "connected")
    assert connected.gap_ms > 0
    before, text, after = await conversation.sent()
    assert (before["bytes"], text["text"], after["bytes"]) == (len(VOICE), "Hi", 2 * len(VOICE))


async def test_an_announced_end_is_not_waited_for(start):
    conversation = await start(profile=BREAK_FIRST, connections=2)
    await conversation.receive(SessionExpiring(time_left_s=60))
    await settled(conversation, 2)
    assert changes(conversation) == ["renewing", "connected"]
    assert conversation.of(ConnectionChanged)[0].reason == "the provider will end it"


async def test_who_speaks_is_cut_short_at_the_last_moment_only(start):
    conversation = await start(profile=BREAK_FIRST, connections=2)
    await conversation.receive(ResponseStarted(response_id="r"))
    await conversation.receive(SessionExpiring(time_left_s=connection.LAST_MOMENT_S + 0.1))
    await asyncio.sleep(0.05)
    assert changes(conversation) == []
    await settled(conversation, 2)
    assert changes(conversation) == ["renewing", "connected"]
    assert [done.status for done in conversation.of(ResponseDone)] == ["incomplete"]


async def test_a_renewed_connection_is_renewed_in_its_turn(start):
    conversation = await start(RealtimeConfig(renew_after_s=0.03), connections=3)
    await settled(conversation, 4)
    assert changes(conversation) == ["renewing", "connected"] * 2


async def test_nothing_is_renewed_where_nothing_is_reconnected(start):
    config = RealtimeConfig(renew_after_s=0.02, reconnect=False)
    conversation = await start(config, connections=2)
    await asyncio.sleep(0.06)
    assert changes(conversation) == []


# -- handles ------------------------------------------------------------------------------------

RESUMES = Profile(provider="plain", model="test", supports_resumption=True)


async def test_a_handle_brings_back_what_was_said_before_it(start):
    conversation = await start(profile=RESUMES, connections=2)
    await answer(conversation, "Hello.", "r1")
    await conversation.receive(SessionResumable(handle="h-1"))
    await answer(conversation, "Still there?", "r2")
    await conversation.server.close(1006)
    await settled(conversation, 2)
    past = conversation.provider.pasts[1]
    assert (past.handle, past.items) == ("h-1", (SeedMessage.assistant("Still there?"),))


async def test_a_key_that_is_refused_is_not_tried_again_without_the_handle(start):
    conversation = await start(profile=RESUMES, connections=2)
    await conversation.receive(SessionResumable(handle="h-1"))
    conversation.provider.refusals = [FORBIDDEN]
    await conversation.server.close(1006)
    assert (await conversation.session.wait_closed()).message == "no such key"
    assert len(conversation.provider.tried) == 2


async def test_a_handle_that_is_refused_is_replaced_by_the_whole_history(start):
    conversation = await start(profile=RESUMES, connections=2)
    await answer(conversation, "Hello.")
    await conversation.receive(SessionResumable(handle="h-1"))
    conversation.provider.refusals = [RealtimeConnectionError("session not found")]
    await conversation.server.close(1006)
    await until(lambda: changes(conversation)[-1:] == ["connected"])
    first, second = conversation.provider.tried[1:]
    assert (first.handle, first.items) == ("h-1", ())
    assert (second.handle, second.items) == (None, (SeedMessage.assistant("Hello."),))


# -- other providers ----------------------------------------------------------------------------


async def test_another_provider_is_asked_when_the_first_cannot_be_had(start):
    first, second = another("first", 0), another("second")
    conversation = await start(connections=0, others=[first, second])
    assert conversation.session.provider == "second"
    assert conversation.session.is_active


async def test_the_first_reason_is_told_with_all_others(start):
    other = another("other", 0)
    other.refusals = [BUSY]
    with pytest.raises(RealtimeConnectionError, match="nobody answers") as raised:
        await start(connections=0, others=[other])
    assert raised.value.__notes__ == ["then: come back later"]


async def test_another_provider_takes_over_when_the_first_cannot_go_on(start):
    other = another()
    conversation = await start(connections=1, others=[other])
    await answer(conversation, "Hello.")
    await conversation.receive(ErrorOccurred(message="no money", cause="quota", fatal=True))
    await conversation.server.close(1000)
    await until(lambda: changes(conversation)[-1:] == ["connected"])
    [switched] = conversation.of(ProviderSwitched)
    assert (switched.from_provider, switched.to_provider) == ("plain", "other")
    assert switched.reason == "no money"
    assert len(conversation.provider.dialled) == 1, "which would have been no use"
    assert other.pasts[0].items == (SeedMessage.assistant("Hello."),)
    assert conversation.session.provider == "other"
    assert conversation.of(ErrorOccurred) == []


async def test_another_provider_takes_over_when_the_first_does_not_come_back(start, monkeypatch):
    monkeypatch.setattr(reach, "FAILOVER_PATIENCE_S", 0.15)
    other = another()
    conversation = await start(profile=RESUMES, connections=1, others=[other])
    await conversation.receive(SessionResumable(handle="h-1"))
    conversation.provider.refusals = [BUSY] * 100
    await conversation.server.close(1011)
    await until(lambda: changes(conversation)[-1:] == ["connected"])
    assert len(conversation.provider.dialled) > 2
    assert conversation.session.provider == "other"
    assert other.pasts[0].handle is None
    told = [(change.state, change.provider) for change in conversation.of(ConnectionChanged)]
    assert told[-2:] == [("reconnecting", "other"), ("connected", "other")]
    assert set(told[:-2]) == {("reconnecting", "plain")}


async def test_the_first_provider_takes_over_again(start):
    other = another()
    conversation = await start(connections=2, others=[other])
    for number, provider in enumerate([conversation.provider, other], 1):
        provider.final = True
        await provider.servers[-1].close(1008)
        await until(lambda n=number: len(conversation.of(ProviderSwitched)) == n)
    told = [(s.from_provider, s.to_provider) for s in conversation.of(ProviderSwitched)]
    assert told == [("plain", "other"), ("other", "plain")]


async def test_nobody_can_take_over(start):
    other = another("other", 0)
    conversation = await start(connections=1, others=[other])
    conversation.provider.final = True
    await conversation.server.close(1008, "bad")
    error = await conversation.session.wait_closed()
    assert error.message == "nobody answers"


# -- a switch -----------------------------------------------------------------------------------


async def test_a_first_connection_that_is_lost_at_once_is_made_again(start):
    other = another("other", 2)
    break_next(other)
    conversation = await start(connections=0, others=[other])
    await settled(conversation, 2)
    assert changes(conversation) == ["reconnecting", "connected"]
    assert conversation.of(ProviderSwitched) == []
    assert conversation.session.is_active


async def test_a_switch_takes_the_conversation_along(start):
    other = another()
    conversation = await start(others=[other])
    await answer(conversation, "Hello.")
    await conversation.session.switch("other")
    assert conversation.session.provider == "other"
    await until(lambda: conversation.of(ProviderSwitched))
    [switched] = conversation.of(ProviderSwitched)
    assert (switched.from_provider, switched.to_provider) == ("plain", "other")
    assert changes(conversation) == ["renewing", "connected"]
    assert other.pasts[0].items == (SeedMessage.assistant("Hello."),)
    await conversation.session.send_text("Hi")
    assert '"Hi"' in await other.servers[0].receive()


async def test_a_switch_and_back(start):
    other = another()
    conversation = await start(connections=2, others=[other])
    await conversation.session.switch(other)
    await conversation.session.switch("plain")
    await until(lambda: len(conversation.of(ProviderSwitched)) == 2)
    assert conversation.session.provider == "plain"
    assert len(conversation.provider.servers) == 2


async def test_a_switch_to_the_provider_in_use_does_nothing(start):
    conversation = await start()
    await conversation.session.switch("plain")
    assert changes(conversation) == []


async def test_a_switch_waits_for_a_quiet_moment(start):
    other = another()
    conversation = await start(others=[other])
    await conversation.receive(ResponseStarted(response_id="r"))
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0.03)
    assert other.dialled == []
    await conversation.receive(ResponseDone(response_id="r"), TurnEnded(response_id="r"))
    async with asyncio.timeout(1):
        await switching
    assert conversation.session.provider == "other"


async def test_a_switch_that_fails_leaves_everything_as_it_was(start, caplog):
    other = another("other", 0)
    conversation = await start(others=[other])
    with (
        caplog.at_level(logging.CRITICAL, "realtime_facade"),
        pytest.raises(RealtimeConnectionError, match="nobody answers"),
    ):
        await conversation.session.switch("other")
    assert conversation.session.provider == "plain"
    await conversation.session.send_text("Hi")
    assert (await conversation.sent(1))[0]["text"] == "Hi"
    assert conversation.of(ProviderSwitched) == []


async def test_a_switch_to_nobody_is_refused(start):
    conversation = await start()
    with pytest.raises(ConfigurationError, match="nobody"):
        await conversation.session.switch("nobody")


async def test_the_last_of_several_switches_counts(start):
    one, two = another("one"), another("two")
    conversation = await start(others=[one, two])
    await conversation.receive(ResponseStarted(response_id="r"))
    first = asyncio.create_task(conversation.session.switch("one"))
    await asyncio.sleep(0)
    second = asyncio.create_task(conversation.session.switch("two"))
    await asyncio.sleep(0)
    with pytest.raises(RealtimeError, match="another switch"):
        await first
    await conversation.receive(ResponseDone(response_id="r"), TurnEnded(response_id="r"))
    await second
    assert conversation.session.provider == "two"
    assert one.dialled == []


async def test_a_switch_can_be_taken_back(start):
    other = another()
    conversation = await start(others=[other])
    await conversation.receive(ResponseStarted(response_id="r"))
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0)
    await conversation.session.switch("plain")
    with pytest.raises(RealtimeError, match="another switch"):
        await switching
    await conversation.receive(ResponseDone(response_id="r"), TurnEnded(response_id="r"))
    await asyncio.sleep(0.02)
    assert other.dialled == []


async def test_a_switch_that_is_asked_for_without_a_connection_follows_it(start):
    other = another()
    conversation = await start(connections=2, others=[other])
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await settled(conversation, 1)
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0)
    conversation.provider.answers.set()
    async with asyncio.timeout(1):
        await switching
    assert conversation.session.provider == "other"


async def test_a_switch_survives_a_renewal_that_cannot_wait(start):
    other = another()
    conversation = await start(connections=2, others=[other])
    await conversation.receive(ResponseStarted(response_id="r"))
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0)
    conversation.engine.renew(RealtimeConfig(instructions="Be brief."), "handoff")
    await settled(conversation, 2)
    # The answer that was cut off is asked for again, and comes.
    await answer(conversation, "Hello.", "r2")
    async with asyncio.timeout(1):
        await switching
    assert conversation.session.provider == "other"


async def test_a_switch_that_nobody_waits_for_any_more_is_no_warning(start):
    other = another()
    conversation = await start(others=[other])
    await conversation.receive(ResponseStarted(response_id="r"))
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0)
    switching.cancel()
    await asyncio.wait([switching])
    await conversation.session.close()


async def test_who_takes_over_and_is_lost_at_once_is_announced_when_it_stays(start):
    other = another("other", 2)
    conversation = await start(others=[other])
    break_next(other)
    async with asyncio.timeout(2):
        await conversation.session.switch("other")
    await until(lambda: conversation.of(ProviderSwitched))
    assert len(conversation.of(ProviderSwitched)) == 1
    assert len(other.servers) == 2


async def test_closing_ends_a_switch_that_waits(start):
    conversation = await start(others=[another()])
    await conversation.receive(ResponseStarted(response_id="r"), AudioChunk(data=VOICE))
    switching = asyncio.create_task(conversation.session.switch("other"))
    await asyncio.sleep(0)
    await conversation.session.close()
    with pytest.raises(SessionClosed):
        await switching
