"""A scenario goes on where the conversation is, by what was said and not by who heard it."""

from collections.abc import Sequence

import pytest

from realtime_facade.simulator.parts import Call, Entry, Message, Say, Step, ToolOutput
from realtime_facade.simulator.scenario import Scenario

STORY = Scenario.parse(
    """
otherwise = "Pardon?"

[[turns]]
heard = "Good morning"
steps = [{ say = "Hello there, my friend." }]

[[turns]]
heard = "What is the weather?"
steps = [
    { say = "Let me look." },
    { call = "weather" },
    { say = "It is {output}." },
    { say = "Take a hat with you." },
]

[[turns]]
when = "joke"
heard = "Tell me a joke"
steps = [{ say = "No." }]

[[turns]]
heard = "Thank you"
steps = [{ say = "Not at all." }]
"""
)
MORNING = (Message("user", "good morning!"), Message("assistant", "Hello there, my friend."))
WEATHER = (
    Message("user", "What is the weather?"),
    Message("assistant", "Let me look."),
    ToolOutput("weather", {}, "sunny"),
)


async def ask(*entries: Entry) -> Sequence[Step]:
    """What a new session says, that knows these."""
    return await STORY.parts().mind().answer(entries, (), "")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((), [Say("Hello there, my friend.")]),
        ((Message("user", "Anything"),), [Say("Hello there, my friend.")]),
        ((*MORNING, Message("user", "Well?")), [Say("Let me look."), Call("weather")]),
        ((*MORNING, *WEATHER), [Say("It is sunny."), Say("Take a hat with you.")]),
        (
            (*MORNING, *WEATHER, Message("assistant", "It is sunny."), Message("user", "Ok")),
            [Say("Not at all.")],
        ),
        ((*MORNING, Message("user", "A joke, please")), [Say("No.")]),
        (
            (*MORNING, Message("user", "x"), *WEATHER[1:]),
            [Say("It is sunny."), Say("Take a hat with you.")],
        ),
        # Heard, and then spoken over before a word of the answer was heard.
        (
            (Message("user", "Good morning"), Message("user", "Er")),
            [Say("Let me look."), Call("weather")],
        ),
        # What fits nothing uses nothing up.
        (
            (Message("user", "I am Alice"), Message("assistant", "Noted."), Message("user", "Hi")),
            [Say("Hello there, my friend.")],
        ),
        # A conversation may begin with a request.
        ((MORNING[1], Message("user", "Well?")), [Say("Let me look."), Call("weather")]),
        # Words of the application are nobody's turn.
        (
            (*MORNING, Message("user", "Well?"), Message("system", "Go on")),
            [Say("Let me look."), Call("weather")],
        ),
    ],
)
async def test_a_new_session_takes_the_next_turn(known, expected):
    assert await ask(*known) == expected


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ("Hello", [Say("there, my friend.")]),
        ("Hello there, my", [Say("friend.")]),
        ("Hello there, my friend.", [Say("Let me look."), Call("weather")]),
    ],
)
async def test_an_unfinished_sentence_is_finished(said, rest):
    assert await ask(MORNING[0], Message("assistant", said)) == rest
    assert await ask(MORNING[0], Message("assistant", said), Message("system", "Go on")) == rest


async def test_sentences_that_come_as_one_text_are_finished_too():
    told = (*MORNING, *WEATHER, Message("assistant", "It is sunny. Take a"))
    assert await ask(*told) == [Say("hat with you.")]


async def test_the_same_words_asked_again_get_the_same_answer():
    mind = STORY.parts().mind()
    words = (Message("user", "Good morning"),)
    assert await mind.answer(words, (), "") == await mind.answer(words, (), "")
    more = (*words, Message("assistant", "Hello there,"), Message("user", "Yes?"))
    assert (await mind.answer(more, (), ""))[0] == Say("Let me look.")


async def test_a_turn_that_ends_with_a_call_does_not_call_again():
    mind = Scenario.parse('[[turns]]\nwhen = "go"\nsteps = [{ call = "start" }]').parts().mind()
    said: list[Entry] = [Message("user", "go")]
    assert await mind.answer(said, (), "") == [Call("start")]
    said.append(ToolOutput("start", {}, "ok"))
    assert await mind.answer(said, (), "") == [Say("I have nothing to say to that.")]
    said.append(Message("user", "go on"))
    assert await mind.answer(said, (), "") == [Call("start")]


async def test_an_output_that_comes_after_the_answer_brings_no_second_call():
    mind = STORY.parts().mind()
    said: list[Entry] = [*MORNING, *WEATHER]
    assert await mind.answer(said, (), "") == [Say("It is sunny."), Say("Take a hat with you.")]
    said += [Message("assistant", "It is sunny. Take a hat with you.")]
    said += [ToolOutput("weather", {}, "sunny again")]
    assert await mind.answer(said, (), "") == [Say("Pardon?")]


async def test_a_cut_answer_is_finished_in_its_own_session_too():
    mind = STORY.parts().mind()
    words = Message("user", "Good morning")
    await mind.answer((words,), (), "")
    assert await mind.answer((words, Message("assistant", "Hello")), (), "") == [
        Say("there, my friend.")
    ]


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        ((), "Good morning"),
        (MORNING, "What is the weather?"),
        (MORNING[1:], "What is the weather?"),
        ((*MORNING, WEATHER[0]), "Tell me a joke"),
        ((*MORNING, WEATHER[0], Message("user", "tell me a joke")), "Thank you"),
        ((Message("user", "I am Alice"), Message("assistant", "Noted.")), "Good morning"),
    ],
)
async def test_what_was_told_need_not_be_heard(told, heard):
    parts = STORY.parts()
    for entry in told:
        parts.told(entry)
    assert await parts.recognizer(()).finish() == heard


async def test_what_is_told_later_does_not_bring_words_back():
    parts = STORY.parts()
    recognizer = parts.recognizer(())
    assert await recognizer.finish() == "Good morning"
    assert await recognizer.finish() == "What is the weather?"
    parts.told(MORNING[0])
    assert await recognizer.finish() == "Tell me a joke"


ORDERED = Scenario.parse(
    """
[[turns]]
steps = [{ say = "One long sentence." }]

[[turns]]
asked = "apologi[sz]e"
steps = [{ say = "Sorry." }]

[[turns]]
steps = [{ say = "Two." }]
"""
)


@pytest.mark.parametrize("role", [None, "user", "system"])
async def test_an_answer_can_be_asked_for_by_instructions_of_its_own(role):
    mind = ORDERED.parts().mind()
    said: list[Entry] = [Message("user", "Hello")]
    assert await mind.answer(said, (), "Be brief.") == [Say("One long sentence.")]
    said.append(Message("assistant", "One long"))
    # Where a provider has no instructions for one answer, they come as a message.
    asked = "Please apologise."
    said += [Message(role, asked)] if role else []
    instructions = "Be brief." if role else asked
    assert await mind.answer(said, (), instructions) == [Say("Sorry.")]
    said += [Message("assistant", "Sorry."), Message("user", "Go on")]
    assert await mind.answer(said, (), "Be brief.") == [Say("Two.")]
