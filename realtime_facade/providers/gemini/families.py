"""What differs between the families of Gemini Live models, as data looked up by a model's name.

From the field: refusals (WebSocket close 1007 with a reason) and recorded sessions per model.
A model that no prefix fits gets `UNKNOWN`, which relies on nothing that any family refuses.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DEFAULT_MODEL = "gemini-3.8-live"

MODELS = (
    DEFAULT_MODEL,
    "gemini-3.8-live-extended-thinking",
    "gemini-3.5-live-translate-preview",
    "gemini-robotics-er-2-streaming-preview",
    "gemini-3.1-flash-live-preview",
    "gemini-2.5-flash-native-audio-latest",
    "gemini-2.5-flash-native-audio-preview-12-2025",
)

RETIRED = {
    "gemini-2.0-flash-exp": DEFAULT_MODEL,
    "gemini-2.0-flash-live-001": DEFAULT_MODEL,
    "gemini-live-2.5-flash-preview": DEFAULT_MODEL,
}
"""Names that the service no longer knows, and what is asked for instead."""

VOICES = (
    "Achernar",
    "Achird",
    "Algenib",
    "Algieba",
    "Alnilam",
    "Aoede",
    "Autonoe",
    "Callirrhoe",
    "Charon",
    "Despina",
    "Enceladus",
    "Erinome",
    "Fenrir",
    "Gacrux",
    "Iapetus",
    "Kore",
    "Laomedeia",
    "Leda",
    "Orus",
    "Puck",
    "Pulcherrima",
    "Rasalgethi",
    "Sadachbia",
    "Sadaltager",
    "Schedar",
    "Sulafat",
    "Umbriel",
    "Vindemiatrix",
    "Zephyr",
    "Zubenelgenubi",
)

LOW_VOICES = frozenset(
    (
        *("Achird", "Algenib", "Algieba", "Alnilam", "Charon", "Enceladus", "Fenrir", "Iapetus"),
        *("Orus", "Puck", "Rasalgethi", "Sadachbia", "Sadaltager", "Schedar", "Umbriel"),
        "Zubenelgenubi",
    )
)

CUSTOM_VOICE_PREFIX = "voice_"
"""Voices of one's own have ids that begin so."""

Modality = Literal["text", "audio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the models of one family can do and how they like to be addressed."""

    prefix: str
    """Of the model's name; the longest that fits wins."""
    modalities: tuple[Modality, ...]
    """What the model can answer with."""
    text_now: bool
    """Whether the user's text goes as live input. Else it goes as ordered content, which on these
    families is meant for history before the first turn."""
    emits_speech_events: bool
    scheduling: bool
    """Whether a tool's result may say that it wants no answer."""
    initial_history: bool
    """Whether the first content can be declared to be history. Afterwards the model wants text or
    speech before it says anything."""
    context_update: bool
    """Whether instructions and tools can be changed in a running session."""
    handles_before_answers: bool
    """Whether resumption handles come at the start of each turn. Else they come at its end."""
    connection_limit_s: float | None
    """How long one connection has been seen to live at most."""
    calls_block: bool = True
    """Whether the model waits for the results of its calls. Else it ends its turn first, and gives
    the answer to them in another one."""
    generation_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Generation settings without which the model refuses the session."""


UNKNOWN = Family(
    prefix="",
    modalities=("text", "audio"),
    text_now=False,
    emits_speech_events=False,
    scheduling=False,
    initial_history=False,
    context_update=False,
    handles_before_answers=False,
    connection_limit_s=None,
)

FAMILIES = (
    Family(
        prefix="gemini-2.5-",
        modalities=("audio",),
        text_now=False,
        emits_speech_events=False,
        scheduling=True,
        initial_history=False,
        context_update=False,
        handles_before_answers=False,
        connection_limit_s=600.0,
    ),
    Family(
        prefix="gemini-live-2.5-flash-native-audio",
        modalities=("audio",),
        text_now=False,
        emits_speech_events=False,
        scheduling=True,
        initial_history=False,
        context_update=False,
        handles_before_answers=False,
        connection_limit_s=600.0,
    ),
    Family(
        prefix="gemini-live-2.5-flash",
        modalities=("text", "audio"),
        text_now=False,
        emits_speech_events=False,
        scheduling=False,
        initial_history=False,
        context_update=False,
        handles_before_answers=False,
        connection_limit_s=600.0,
    ),
    Family(
        prefix="gemini-3",
        modalities=("audio",),
        text_now=True,
        emits_speech_events=True,
        scheduling=False,
        initial_history=True,
        context_update=False,
        handles_before_answers=True,
        connection_limit_s=600.0,
    ),
    Family(
        prefix="gemini-3.8-live",
        modalities=("audio",),
        text_now=True,
        emits_speech_events=True,
        scheduling=True,
        initial_history=True,
        context_update=True,
        handles_before_answers=True,
        calls_block=False,
        # Seen once: closed after exactly 58 minutes, without a goAway.
        connection_limit_s=3480.0,
    ),
    Family(
        prefix="gemini-3.8-live-extended-thinking",
        modalities=("audio",),
        text_now=True,
        emits_speech_events=True,
        scheduling=False,
        initial_history=True,
        context_update=True,
        handles_before_answers=True,
        connection_limit_s=3480.0,
        generation_defaults={"thinkingConfig": {"thinkingLevel": "LOW"}},
    ),
    Family(
        prefix="gemini-robotics-er",
        modalities=("text",),
        text_now=True,
        emits_speech_events=False,
        scheduling=False,
        initial_history=False,
        context_update=False,
        handles_before_answers=False,
        connection_limit_s=600.0,
    ),
)


def family_of(model: str) -> Family:
    """The family of a model, by its name with or without a path before it."""
    name = model.rsplit("/", 1)[-1]
    fitting = [family for family in FAMILIES if name.startswith(family.prefix)]
    return max(fitting, key=lambda family: len(family.prefix), default=UNKNOWN)


def current_model(model: str | None) -> str:
    """The model to ask for: the default for None, a successor for a retired name, else as given.

    The prefix `models/` is dropped; other paths, such as those of tuned models, are kept.
    """
    if model is None:
        return DEFAULT_MODEL
    name = model.removeprefix("models/")
    if name not in RETIRED:
        return name
    warnings.warn(
        f"the model {name!r} was shut down; {RETIRED[name]!r} is used instead",
        DeprecationWarning,
        stacklevel=3,
    )
    return RETIRED[name]
