"""Talk with speech-to-speech models, whichever provider they live at.

Names are loaded on first use, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import RealtimeAgent
    from .agent_run import AgentResult
    from .audio.playback import AudioSink, Playback
    from .cassette import Cassette
    from .config import (
        RealtimeConfig,
        SemanticEagerness,
        SemanticVAD,
        ServerVAD,
        Transcription,
        VADMode,
    )
    from .conversation import (
        ConversationHistory,
        ConversationSeed,
        ConversationTurn,
        SeedMessage,
        ToolRound,
    )
    from .devices.base import AudioInputDevice, AudioOutputDevice
    from .errors import (
        AudioFormatError,
        ConfigurationError,
        MissingExtra,
        ProtocolError,
        RealtimeConnectionError,
        RealtimeError,
        SessionClosed,
        ToolFailed,
    )
    from .events import (
        AnswerStalled,
        AnyEvent,
        AudioChunk,
        AudioDropped,
        ConfigWarning,
        ConnectionChanged,
        EchoMeasured,
        ErrorOccurred,
        Event,
        GuardrailFailed,
        GuardrailTripped,
        HandedOff,
        HeardItem,
        InactivityCountdown,
        InactivityTimedOut,
        InputCommitted,
        Interrupted,
        OutputCancelled,
        PlaybackHeld,
        PlaybackResumed,
        ProviderSwitched,
        RawEvent,
        ResponseDone,
        ResponseStarted,
        SessionEnded,
        SessionExpiring,
        SessionResumable,
        SessionStarted,
        SessionUpdated,
        SpeechStarted,
        SpeechStopped,
        SupervisorAsked,
        SupervisorFinished,
        SupervisorStarted,
        ThoughtDelta,
        TokenCounts,
        ToolCallCompleted,
        ToolCallRequest,
        ToolCallsCancelled,
        ToolProgress,
        TranscriptDelta,
        TurnEnded,
        Usage,
        UsageLimitReached,
        UsageReported,
        UsageUpdated,
    )
    from .features.handoff import realtime_handoff
    from .features.supervisor import Supervisor
    from .features.usage import UsageLimit
    from .guardrails import (
        Guardrail,
        GuardrailContext,
        GuardrailResult,
        input_guardrail,
        output_guardrail,
    )
    from .listener import AgentListener
    from .llm import ChatMessage, ChatModel, ChatOpenAI, ChatToolCall
    from .names import AssistantVoice, RealtimeModel, TranscriptionModel
    from .prices import Prices
    from .providers.azure import AzureOpenAIProvider
    from .providers.base import Codec, Endpoint, Output, Profile, Provider
    from .providers.gemini import GeminiProvider
    from .providers.local import LocalProvider
    from .providers.openai import OpenAIProvider
    from .providers.registry import available_providers, configured_providers
    from .runner import RealtimeRunner
    from .session.event_bus import EventBus
    from .session.session import EventStream, Session
    from .session.state import Phase
    from .tools.builtin import builtin_tools
    from .tools.context import ToolContext
    from .tools.definition import ToolDefinition
    from .tools.inject import Inject
    from .tools.mcp import mcp_tools
    from .tools.registry import Tools
    from .voice import GeminiRealtimeProvider, OpenAIRealtimeProvider, RealtimeVoice

__version__ = "0.1.0"

_HOME = {
    "agent": "RealtimeAgent",
    "agent_run": "AgentResult",
    "audio.playback": "AudioSink Playback",
    "cassette": "Cassette",
    "config": "RealtimeConfig SemanticEagerness SemanticVAD ServerVAD Transcription VADMode",
    "conversation": "ConversationHistory ConversationSeed ConversationTurn SeedMessage ToolRound",
    "devices.base": "AudioInputDevice AudioOutputDevice",
    "errors": (
        "AudioFormatError ConfigurationError MissingExtra ProtocolError "
        "RealtimeConnectionError RealtimeError SessionClosed ToolFailed"
    ),
    "events": """
        AnswerStalled
        AnyEvent
        AudioChunk
        AudioDropped
        ConfigWarning
        ConnectionChanged
        EchoMeasured
        ErrorOccurred
        Event
        GuardrailFailed
        GuardrailTripped
        HandedOff
        HeardItem
        InactivityCountdown
        InactivityTimedOut
        InputCommitted
        Interrupted
        OutputCancelled
        PlaybackHeld
        PlaybackResumed
        ProviderSwitched
        RawEvent
        ResponseDone
        ResponseStarted
        SessionEnded
        SessionExpiring
        SessionResumable
        SessionStarted
        SessionUpdated
        SpeechStarted
        SpeechStopped
        SupervisorAsked
        SupervisorFinished
        SupervisorStarted
        ThoughtDelta
        TokenCounts
        ToolCallCompleted
        ToolCallRequest
        ToolCallsCancelled
        ToolProgress
        TranscriptDelta
        TurnEnded
        Usage
        UsageLimitReached
        UsageReported
        UsageUpdated
    """,
    "features.supervisor": "Supervisor",
    "features.handoff": "realtime_handoff",
    "features.usage": "UsageLimit",
    "guardrails": "Guardrail GuardrailContext GuardrailResult input_guardrail output_guardrail",
    "listener": "AgentListener",
    "names": "AssistantVoice RealtimeModel TranscriptionModel",
    "prices": "Prices",
    "llm": "ChatMessage ChatModel ChatOpenAI ChatToolCall",
    "providers.azure": "AzureOpenAIProvider",
    "providers.base": "Codec Endpoint Output Profile Provider",
    "providers.gemini": "GeminiProvider",
    "providers.local": "LocalProvider",
    "providers.openai": "OpenAIProvider",
    "providers.registry": "available_providers configured_providers",
    "runner": "RealtimeRunner",
    "session.event_bus": "EventBus",
    "session.session": "EventStream Session",
    "session.state": "Phase",
    "tools.builtin": "builtin_tools",
    "tools.context": "ToolContext",
    "tools.definition": "ToolDefinition",
    "tools.inject": "Inject",
    "tools.mcp": "mcp_tools",
    "tools.registry": "Tools",
    "voice": "GeminiRealtimeProvider OpenAIRealtimeProvider RealtimeVoice",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "AgentListener",
    "AgentResult",
    "AnswerStalled",
    "AnyEvent",
    "AssistantVoice",
    "AudioChunk",
    "AudioDropped",
    "AudioFormatError",
    "AudioInputDevice",
    "AudioOutputDevice",
    "AudioSink",
    "AzureOpenAIProvider",
    "Cassette",
    "ChatMessage",
    "ChatModel",
    "ChatOpenAI",
    "ChatToolCall",
    "Codec",
    "ConfigWarning",
    "ConfigurationError",
    "ConnectionChanged",
    "ConversationHistory",
    "ConversationSeed",
    "ConversationTurn",
    "EchoMeasured",
    "Endpoint",
    "ErrorOccurred",
    "Event",
    "EventBus",
    "EventStream",
    "GeminiProvider",
    "GeminiRealtimeProvider",
    "Guardrail",
    "GuardrailContext",
    "GuardrailFailed",
    "GuardrailResult",
    "GuardrailTripped",
    "HandedOff",
    "HeardItem",
    "InactivityCountdown",
    "InactivityTimedOut",
    "Inject",
    "InputCommitted",
    "Interrupted",
    "LocalProvider",
    "MissingExtra",
    "OpenAIProvider",
    "OpenAIRealtimeProvider",
    "Output",
    "OutputCancelled",
    "Phase",
    "Playback",
    "PlaybackHeld",
    "PlaybackResumed",
    "Prices",
    "Profile",
    "ProtocolError",
    "Provider",
    "ProviderSwitched",
    "RawEvent",
    "RealtimeAgent",
    "RealtimeConfig",
    "RealtimeConnectionError",
    "RealtimeError",
    "RealtimeModel",
    "RealtimeRunner",
    "RealtimeVoice",
    "ResponseDone",
    "ResponseStarted",
    "SeedMessage",
    "SemanticEagerness",
    "SemanticVAD",
    "ServerVAD",
    "Session",
    "SessionClosed",
    "SessionEnded",
    "SessionExpiring",
    "SessionResumable",
    "SessionStarted",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "Supervisor",
    "SupervisorAsked",
    "SupervisorFinished",
    "SupervisorStarted",
    "ThoughtDelta",
    "TokenCounts",
    "ToolCallCompleted",
    "ToolCallRequest",
    "ToolCallsCancelled",
    "ToolContext",
    "ToolDefinition",
    "ToolFailed",
    "ToolProgress",
    "ToolRound",
    "Tools",
    "TranscriptDelta",
    "Transcription",
    "TranscriptionModel",
    "TurnEnded",
    "Usage",
    "UsageLimit",
    "UsageLimitReached",
    "UsageReported",
    "UsageUpdated",
    "VADMode",
    "available_providers",
    "builtin_tools",
    "configured_providers",
    "input_guardrail",
    "mcp_tools",
    "output_guardrail",
    "realtime_handoff",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
