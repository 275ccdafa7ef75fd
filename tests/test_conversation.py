from realtime_facade.conversation import ConversationHistory


def test_a_place_without_words_is_not_a_turn():
    history = ConversationHistory()
    place = history.begin("user")
    history.begin("assistant", "hello")
    assert history.format() == "Assistant: hello"
    place.text = "hi"
    assert history.format() == "User: hi\nAssistant: hello"
    assert len(history) == 2
