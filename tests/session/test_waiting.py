"""What goes to another connection: what waits is sent, and not also told as its past."""

from realtime_facade.commands import RequestResponse, SendText, SendToolResult
from realtime_facade.conversation import ConversationHistory, SeedMessage, ToolRound
from realtime_facade.providers.base import Profile
from realtime_facade.session.carried import Carried, Waiting

CALL = ToolRound(call_id="a", function_name="f", output="sunny", is_error=True)


def test_what_waits_is_not_past():
    waiting = Waiting()
    waiting.add(SendText(text="Hi"), 0)
    waiting.add(RequestResponse(), 0)
    waiting.add(SendToolResult(call_id="a", function_name="f", output="sunny", is_error=True), 0)
    before = [SeedMessage.user("Hi"), SeedMessage.assistant("Hi"), CALL, SeedMessage.user("Hi")]
    assert waiting.not_among(before) == [
        SeedMessage.user("Hi"),
        SeedMessage.assistant("Hi"),
        ToolRound(call_id="a", function_name="f"),
    ]


def test_everything_is_past_when_nothing_waits_or_fits():
    waiting = Waiting()
    assert waiting.not_among([CALL]) == [CALL]
    waiting.add(SendText(text="other"), 0)
    waiting.add(SendToolResult(call_id="b", function_name="f", output=""), 0)
    assert waiting.not_among([CALL, SeedMessage.user("Hi")]) == [CALL, SeedMessage.user("Hi")]


def test_every_past_is_for_a_connection_of_its_own():
    carried = Carried(ConversationHistory(), 24_000)
    profile = Profile(provider="plain", model="test")
    assert [carried.past(profile).connections for _ in range(3)] == [0, 1, 2]
