import asyncio
import threading

import pytest

from realtime_facade.conversation import ConversationHistory
from realtime_facade.errors import ConfigurationError
from realtime_facade.guardrails import (
    REPLACEMENT,
    Guardrail,
    GuardrailContext,
    GuardrailResult,
    input_guardrail,
    output_guardrail,
)

CONTEXT = GuardrailContext(
    direction="output", item_id="i", is_final=False, history=ConversationHistory(), context="shop"
)


def test_bare_decorators_take_the_functions_name():
    @output_guardrail
    def no_secrets(text):
        return "secret" in text

    assert isinstance(no_secrets, Guardrail)
    assert (no_secrets.name, no_secrets.direction, no_secrets.mode) == (
        "no_secrets",
        "output",
        "interrupt",
    )
    assert (no_secrets.debounce_chars, no_secrets.on_failure) == (100, "allow")
    assert no_secrets.replacement == REPLACEMENT
    assert no_secrets("a secret") is True


def test_hold_mode_reads_each_piece_and_blocks_what_it_cannot_read():
    @input_guardrail(mode="hold", name="polite")
    def check(text):
        return False

    assert (check.name, check.direction) == ("polite", "input")
    assert (check.debounce_chars, check.on_failure) == (1, "block")


def test_what_is_said_wins_over_defaults():
    @output_guardrail(mode="hold", debounce_chars=40, on_failure="allow", replacement=None)
    def check(text):
        return False

    assert (check.debounce_chars, check.on_failure, check.replacement) == (40, "allow", None)


async def test_a_function_may_take_context_and_agent():
    given = []

    @output_guardrail
    def sensitive_data(ctx, agent, output: str) -> GuardrailResult:
        given.append((ctx, agent, output))
        return GuardrailResult(tripwire_triggered=True, output_info="Blocked sensitive data")

    result = await sensitive_data.check("some text", CONTEXT, "the agent")
    assert result == GuardrailResult(True, "Blocked sensitive data")
    assert given == [(CONTEXT, "the agent", "some text")]


async def test_optional_parameters_do_not_count():
    @output_guardrail
    def check(text, words=("secret",)):
        return any(word in text for word in words)

    assert (await check.check("a secret", CONTEXT, None)).tripwire_triggered


async def test_sync_functions_run_in_threads_and_async_ones_on_the_loop():
    threads = []

    @output_guardrail
    def blocking(text):
        threads.append(threading.current_thread())
        return False

    @output_guardrail
    async def quick(text):
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return True

    assert not (await blocking.check("", CONTEXT, None)).tripwire_triggered
    assert (await quick.check("", CONTEXT, None)).tripwire_triggered
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.current_thread()


async def test_objects_that_can_be_called_have_the_name_of_their_class():
    class Words:
        def __call__(self, text):
            return text == "bad"

    check = output_guardrail(Words())
    assert check.name == "Words"
    assert (await check.check("bad", CONTEXT, None)).tripwire_triggered


@pytest.mark.parametrize("result", [None, "no", 1])
async def test_another_result_is_refused(result):
    check = output_guardrail(lambda text: result)
    with pytest.raises(TypeError, match=type(result).__name__):
        await check.check("", CONTEXT, None)


@pytest.mark.parametrize("function", [lambda: True, lambda a, b: True, lambda *, text: True])
def test_a_function_with_other_parameters_is_refused_at_once(function):
    with pytest.raises(ConfigurationError, match="has to take"):
        output_guardrail(function)


@pytest.mark.parametrize("settings", [{"debounce_chars": 0}, {"timeout_s": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigurationError, match="debounce"):
        output_guardrail(**settings)(lambda text: False)


@pytest.mark.parametrize("settings", [{"mode": "hodl"}, {"on_failure": "ignore"}])
def test_words_that_mean_nothing_are_refused(settings):
    with pytest.raises(ConfigurationError, match="the modes interrupt, hold"):
        output_guardrail(**settings)(lambda text: False)


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(TypeError):
        output_guardrail(patience=3)(lambda text: False)
