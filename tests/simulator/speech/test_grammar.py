import re

import pytest

from realtime_facade.simulator.speech.grammar import SOUNDS, grammar_for
from realtime_facade.tools.definition import ToolDefinition

pytest.importorskip("pocketsphinx")


def accepts(grammar):
    from realtime_facade.simulator.speech.dictation import Dictation
    from realtime_facade.simulator.speech.recognizer import SpeechRecognizer

    return SpeechRecognizer(grammar, Dictation())._decoder.get_fsg("command").accept


@pytest.fixture(scope="module")
def accepted(tools: dict[str, ToolDefinition]):
    return accepts(grammar_for(tuple(tools.values())))


@pytest.mark.parametrize(
    "phrase",
    [
        "hello",
        "what time is it",
        "what can you do",
        "what is the weather in paris",
        "what's the weather like in new york",
        "weather in paris and london please",
        "stop please what is the weather in london",
        "set a timer for twenty five minutes",
        "set a five minute timer",
        "turn the light on",
        "could you turn off the light",
        "what is two plus three",
        "set the volume to fifty",
        "book an appointment tomorrow at half past three",
        "what is the status of order four two seven",
        "front left",
        "in tokyo",
        "for ten minutes",
        "at noon",
        "yes",
        "search the web for xxaa xxt",
        "repeat after me xxaa xxiy xxs",
    ],
)
def test_a_request_is_in_the_grammar(accepted, phrase: str):
    assert accepted(phrase)


@pytest.mark.parametrize(
    "phrase",
    ["what is the weather in", "set a", "stop on", "the the light", "paris paris paris", ""],
)
def test_an_unfinished_phrase_is_not(accepted, phrase: str):
    assert not accepted(phrase)


def test_without_tools_nothing_of_them_is_expected():
    accepted = accepts(grammar_for(()))
    assert accepted("what time is it")
    assert not accepted("what is the weather in")
    assert "paris" not in grammar_for(()).words


def test_the_words_are_those_of_the_rules(tools: dict[str, ToolDefinition]):
    grammar = grammar_for(tuple(tools.values()))
    assert SOUNDS.keys() < grammar.words
    assert {"weather", "paris", "o'clock", "front"} < grammar.words
    assert not {"null", "command", "lead", "public", "grammar"} & grammar.words


def test_every_rule_that_is_named_is_there(tools: dict[str, ToolDefinition]):
    jsgf = grammar_for(tuple(tools.values())).jsgf
    defined = set(re.findall(r"^(?:public )?<(\w+)> =", jsgf, re.MULTILINE))
    assert set(re.findall(r"<(\w+)>", jsgf)) - {"NULL"} <= defined


@pytest.mark.parametrize(
    "name", ["x", "_", "42", "get_42", "a-b-c", "search", "get", "XMLHttpRequest", "on", "stop_it"]
)
def test_any_tool_makes_a_grammar_that_works(name: str):
    tool = ToolDefinition(
        name=name,
        description="D\u00e9crit: 42 things; <b>{or}</b> /10/ [none]*!\n\nmore = less",
        parameters={
            "type": "object",
            "properties": {
                "caf\u00e9": {"enum": ["cr\u00e8me|br\u00fbl\u00e9e", "", "C++", "xyzzy plugh"]},
                "n": {"type": "number"},
                "o": {"type": "object"},
            },
        },
    )
    assert accepts(grammar_for((tool,)))("hello")
