"""What a Gemini client asks for in its first message, and which of it a model refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ...tools.definition import ToolDefinition
from .families import VOICES, Family, family_of
from .fields import INVALID_ARGUMENT, Fields, Refusal, invalid

_SETUP = [
    "model",
    "generationConfig",
    "systemInstruction",
    "tools",
    "sessionResumption",
    "inputAudioTranscription",
    "outputAudioTranscription",
    "realtimeInputConfig",
    "contextWindowCompression",
    "historyConfig",
    "proactivity",
    "safetySettings",
    "avatarConfig",
]
_GENERATION = [
    "responseModalities",
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "seed",
    "mediaResolution",
    "speechConfig",
    "thinkingConfig",
    "enableAffectiveDialog",
    "translationConfig",
    "candidateCount",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
]
_TOOL = [
    "functionDeclarations",
    "googleSearch",
    "codeExecution",
    "urlContext",
    "googleMaps",
    "computerUse",
    "fileSearch",
    "mcpServers",
    "googleSearchRetrieval",
]
_DECLARATION = [
    "name",
    "description",
    "behavior",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
]
_DETECTION = [
    "disabled",
    "startOfSpeechSensitivity",
    "endOfSpeechSensitivity",
    "prefixPaddingMs",
    "silenceDurationMs",
]
_THINKING_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The functions a model may call."""

    definitions: tuple[ToolDefinition, ...] = ()
    behaviors: Mapping[str, str] = field(default_factory=dict)
    """BLOCKING or NON_BLOCKING, by function; only where it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What one session is like, after the model's defaults."""

    model: str
    family: Family
    instructions: str = ""
    tools: Tools = Tools()
    voice: str | None = None
    thinks: bool = False
    """Whether thoughts are sent."""
    transcribes_input: bool = False
    transcribes_output: bool = False
    manual: bool = False
    """The client says when the user's activity begins and ends."""
    threshold: float = 0.5
    """Probability from which audio is speech."""
    silence_ms: int = 500
    """Silence that ends the user's activity."""
    interrupts: bool = True
    """Whether the user's activity cuts an answer short."""
    seeds_history: bool = False
    """The first `clientContent`, up to `turnComplete`, is history and asks for no answer."""
    handle: str | None = None
    """Of the session to be resumed."""
    asks_handles: bool = False

    def blocks(self, function: str) -> bool:
        """Whether the model waits for this function's response before it goes on."""
        match self.family.calls:
            case "always blocking":
                return True
            case "never blocking":
                return False
            case default:
                return self.tools.behaviors.get(function, default.upper().replace("-", "_")) != (
                    "NON_BLOCKING"
                )


def read_setup(message: Fields, version: str) -> Setup:
    """The setup in a client's first message.

    Args:
        message: The whole message.
        version: The API version that the client dialled; some fields are `v1alpha` only.

    Raises:
        Refusal: With the close code and the reason that the service gives.
    """
    setup = message.only("setup").child("setup")
    if setup is None:
        raise invalid()
    setup.only(*(n for n in _SETUP if n != "proactivity" or version == "v1alpha"))
    model = setup.text("model") or ""
    family = family_of(model, version)
    generation = setup.child("generationConfig") or Fields({}, "setup.generation_config")
    generation.only(
        *(n for n in _GENERATION if n != "enableAffectiveDialog" or version == "v1alpha")
    )
    _check_modality(generation, family)
    _check_dialog(setup, generation, family)
    resumption = setup.child("sessionResumption")
    if resumption is not None and resumption.only("handle", "transparent").flag("transparent"):
        raise invalid()  # Vertex only.
    history = setup.child("historyConfig")
    activity = _read_activity(setup.child("realtimeInputConfig"))
    return Setup(
        model=model,
        family=family,
        instructions=read_text(setup.child("systemInstruction")),
        tools=read_tools(setup, family),
        voice=_read_voice(generation.child("speechConfig")),
        thinks=_read_thinking(generation.child("thinkingConfig"), family),
        transcribes_input=family.whole_transcript or "inputAudioTranscription" in setup,
        transcribes_output="outputAudioTranscription" in setup,
        seeds_history=bool(history and history.flag("initialHistoryInClientContent")),
        handle=resumption.text("handle") if resumption else None,
        asks_handles=resumption is not None,
        **activity,
    )


def read_tools(place: Fields, family: Family) -> Tools:
    """The functions of the `tools` that stand in a setup or a context update.

    Raises:
        Refusal: If a tool is malformed or the model has no such thing.
    """
    definitions: dict[str, ToolDefinition] = {}
    behaviors: dict[str, str] = {}
    for tool in place.children("tools"):
        if "codeExecution" in tool.only(*_TOOL):
            raise invalid("Code Execution tool is not supported for this model")
        for declaration in tool.children("functionDeclarations"):
            definition = _read_declaration(declaration)
            if definition.name in definitions:
                raise invalid(f"Duplicate function declaration found: {definition.name}")
            definitions[definition.name] = definition
            behavior = declaration.text("behavior")
            if behavior not in (None, "UNSPECIFIED", "BLOCKING", "NON_BLOCKING"):
                raise invalid(
                    f"Invalid value at '{declaration.place('behavior')}' (TYPE_ENUM), {behavior}"
                )
            if behavior == "BLOCKING" and family.calls == "never blocking":
                raise invalid("BLOCKING function calls are not supported for this model")
            if behavior in ("BLOCKING", "NON_BLOCKING"):
                behaviors[definition.name] = behavior
    return Tools(definitions=tuple(definitions.values()), behaviors=behaviors)


def read_text(content: Fields | None) -> str:
    """The text in the parts of a content; "" for none."""
    if content is None:
        return ""
    return "\n".join(part.text("text") or "" for part in content.children("parts"))


def _read_declaration(declaration: Fields) -> ToolDefinition:
    declaration.only(*_DECLARATION)
    schema = declaration.raw("parametersJsonSchema")
    if schema is None:
        schema = _json_schema(declaration.raw("parameters") or {"type": "OBJECT"})
    try:
        return ToolDefinition(
            name=declaration.text("name") or "",
            description=declaration.text("description") or "",
            parameters=schema,
        )
    except ValidationError as error:
        raise invalid() from error


def _json_schema(schema: Any) -> Any:
    """The service's own schema dialect in JSON schema: types are upper-case there."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _json_schema(value)
        for key, value in schema.items()
    }


def _check_modality(generation: Fields, family: Family) -> None:
    modalities = generation.items("responseModalities")
    if modalities == ["TEXT"]:
        raise Refusal(*family.text_refusal)
    if modalities not in ([], ["AUDIO"]):
        raise invalid()


def _check_dialog(setup: Fields, generation: Fields, family: Family) -> None:
    if generation.flag("enableAffectiveDialog") and not family.affective:
        raise invalid()
    proactivity = setup.child("proactivity")
    if proactivity is None:
        return
    proactive = proactivity.only("proactiveAudio", "proactiveVideo").flag("proactiveAudio")
    wanted = {"optional": (None, True, False), "refused": (None, False), "always": (None, True)}
    if proactive not in wanted[family.proactive]:
        raise invalid()


def _read_thinking(thinking: Fields | None, family: Family) -> bool:
    level = None if thinking is None else thinking.text("thinkingLevel")
    budget = None if thinking is None else thinking.count("thinkingBudget")
    if level not in (None, *_THINKING_LEVELS):
        raise invalid(f"Invalid value at 'setup.thinking_config.thinking_level', {level}")
    if family.thinking == "level required" and level is None:
        raise invalid("Thinking level must be specified for this model")
    if family.thinking == "level required" and level == "MINIMAL":
        raise invalid("Thinking level MINIMAL is not supported for this model")
    if level is not None and family.thinking in ("budget", "refused"):
        raise invalid("Thinking level is not supported for this model")
    if budget is not None and family.thinking == "refused":
        raise invalid()
    aloud = None if thinking is None else thinking.flag("includeThoughts")
    return budget != 0 and (family.thinks_aloud if aloud is None else aloud)


def _read_voice(speech: Fields | None) -> str | None:
    voice = None if speech is None else speech.child("voiceConfig")
    if voice is None:
        return None
    prebuilt = voice.child("prebuiltVoiceConfig")
    if prebuilt is None:
        return voice.text("voice")
    name = prebuilt.text("voiceName")
    if name is not None and name not in VOICES:
        raise Refusal(1007, INVALID_ARGUMENT)
    return name


def _read_activity(config: Fields | None) -> dict[str, Any]:
    """How the user's turns are found: the arguments of `Setup` for it."""
    if config is None:
        return {}
    config.only(
        "automaticActivityDetection",
        "activityHandling",
        "turnCoverage",
        "interimTranscriptTimestampEnabled",
    )
    detection = config.child("automaticActivityDetection") or Fields({}, config.path)
    detection.only(*_DETECTION)
    manual = bool(detection.flag("disabled"))
    padding, silence = detection.count("prefixPaddingMs"), detection.count("silenceDurationMs")
    if manual and (padding is not None or silence is not None):
        raise invalid()
    patient = detection.text("endOfSpeechSensitivity") == "END_SENSITIVITY_LOW"
    deaf = detection.text("startOfSpeechSensitivity") == "START_SENSITIVITY_LOW"
    return {
        "manual": manual,
        "threshold": 0.7 if deaf else 0.5,
        "silence_ms": (800 if patient else 500) if silence is None else silence,
        "interrupts": config.text("activityHandling") != "NO_INTERRUPTION",
    }
