"""How the families of Gemini Live models differ, as data."""

from dataclasses import dataclass
from typing import Literal

from .fields import INVALID_ARGUMENT, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a model of this family accepts, refuses and sends without being asked."""

    name: str
    prefix: str
    """Of the models' names; the longest that fits decides."""

    text_refusal: tuple[int, str]
    """Close code and reason for the response modality TEXT."""
    thinking: Literal["budget", "level", "refused", "level required"]
    thinks_aloud: bool = False
    """Thoughts are sent unless switched off; otherwise only when asked for."""
    affective: bool = False
    """Whether `enableAffectiveDialog` is accepted."""
    proactive: Literal["optional", "refused", "always"] = "always"
    calls: Literal["blocking", "always blocking", "non-blocking", "never blocking"]
    """What a function call does to the conversation; the plain ones are defaults."""
    scheduling: Literal["followed", "ignored", "refused"] = "followed"
    """What `scheduling` in a function response does."""
    calls_after_turn: bool = False
    """Calls follow the end of the turn, which says with `interactionStatus` that there is more."""
    context_update: bool = True
    media_chunks: bool = False
    """Whether the legacy audio field works."""
    function_history: bool = True
    """Whether function calls and responses may be part of `clientContent`."""

    wants_nudge: bool = True
    """After a history that was declared as such, only live text or speech brings an answer."""

    whole_transcript: bool = True
    """Input transcription in one piece and unasked, instead of in chunks and on request."""
    voice_activity: bool = True
    """Whether the begin and end of speech are reported, unasked."""
    fills_activity: bool = False
    """Whether that report comes together with an empty `serverContent`."""
    bundles: bool = True
    """Audio and its words in one message, the speaker named, and empty messages in between."""
    holds_turn: bool = True
    """`turnComplete` waits until the answer would have been played."""
    handles: Literal["when asked", "each turn", "at once"] = "at once"
    """When session resumption handles are sent. When asked: after each turn, else before it."""
    call_prefix: str = "fc_"
    """Of function call ids; digits follow."""


_NO_TEXT = "The requested combination of response modalities (TEXT) is not supported by the model"

FAMILIES = (
    Family(
        name="2.5-native",
        prefix="gemini-2.5-flash-native-audio",
        text_refusal=(1007, "Cannot extract voices from a non-audio request."),
        thinking="budget",
        thinks_aloud=True,
        affective=True,
        proactive="optional",
        calls="blocking",
        context_update=False,
        media_chunks=True,
        function_history=False,
        wants_nudge=False,
        whole_transcript=False,
        voice_activity=False,
        bundles=False,
        holds_turn=False,
        handles="when asked",
        call_prefix="function-call-",
    ),
    Family(
        name="3.1",
        prefix="gemini-3.1-flash-live",
        text_refusal=(1011, "Internal error encountered."),
        thinking="level",
        proactive="refused",
        calls="always blocking",
        scheduling="ignored",
        context_update=False,
        fills_activity=True,
        handles="each turn",
    ),
    Family(
        name="3.8",
        prefix="gemini-3.8-live",
        text_refusal=(1007, _NO_TEXT),
        thinking="refused",
        calls="non-blocking",
    ),
    Family(
        name="3.8-extended-thinking",
        prefix="gemini-3.8-live-extended-thinking",
        text_refusal=(1007, _NO_TEXT),
        thinking="level required",
        calls="never blocking",
        scheduling="refused",
        calls_after_turn=True,
    ),
)

VOICES = frozenset(
    [
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
    ]
)
"""The prebuilt ones."""


def family_of(model: str, version: str) -> Family:
    """The family of `models/...`.

    Raises:
        Refusal: If there is no such live model.
    """
    if not model.startswith("models/"):
        raise Refusal(1007, INVALID_ARGUMENT)
    name = model.removeprefix("models/")
    fitting = [family for family in FAMILIES if name.startswith(family.prefix)]
    if not fitting:
        raise Refusal(
            1008,
            f"{model} is not found for API version {version}, "
            "or is not supported for bidiGenerateContent.",
        )
    return max(fitting, key=lambda family: len(family.prefix))
