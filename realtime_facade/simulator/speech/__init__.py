"""Real ears, wits and a voice for the simulated providers: no network, no key."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from ...errors import ConfigurationError, MissingExtra
from ...tools.definition import ToolDefinition
from ..parts import Mind, Parts, Recognizer, Voice
from .chat_server import ChatServer


def local_parts(*, lang: str = "en", llm_url: str | None = None) -> Parts:
    """Parts that hear, understand and speak on this computer.

    Args:
        lang: The user's language; only English is understood.
        llm_url: An OpenAI-compatible chat server that thinks instead of the rules; without it
            the environment's `REALTIME_FACADE_LLM_URL`, if set.

    Raises:
        MissingExtra: If the extra `local` is not installed. Without Silero alone, loudness decides
            who speaks, and a warning is logged; without a synthesizer the voice babbles.
        ConfigurationError: If the language is not understood.
    """
    if lang.split("-")[0].lower() != "en":
        raise ConfigurationError(
            f"the local provider does not understand {lang!r}", advice="use lang='en'"
        )
    if find_spec("pocketsphinx") is None:
        raise MissingExtra("understanding speech", "local", "pocketsphinx")
    from ...audio.vad import best_vad
    from .dictation import Dictation
    from .dictionary import load
    from .grammar import grammar_for
    from .recognizer import SpeechRecognizer, dictionary_path
    from .voices import find_voice

    load(dictionary_path())  # takes a tenth of a second, which no session should wait for
    dictation = Dictation()

    def recognizer(tools: Sequence[ToolDefinition]) -> Recognizer:
        return SpeechRecognizer(grammar_for(tools), dictation)

    def voice(name: str | None) -> Voice:
        return find_voice(name)

    return Parts(
        vad=best_vad(), recognizer=recognizer, mind=_mind(ChatServer.find(llm_url)), voice=voice
    )


def _mind(server: ChatServer | None) -> Callable[[], Mind]:
    if server is None:
        from .wits import LocalMind

        return LocalMind
    if find_spec("openai") is None:
        raise MissingExtra("asking a chat server", "local", "openai")
    from .llm import ChatMind

    return lambda: ChatMind(server)
