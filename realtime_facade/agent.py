"""A whole voice assistant in one object: who it is, what it talks with, and its conversations."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self

from .agent_run import AgentResult, AgentRun, ctrl_c
from .audio.playback import AudioSink
from .audio.vad import Vad
from .config import RealtimeConfig, SemanticVAD, ServerVAD, Transcription
from .conversation import ConversationSeed
from .devices.base import AudioInputDevice, AudioOutputDevice
from .errors import RealtimeError, SessionClosed
from .features.handoff import Handoff, Handoffs, Role, equipped, reachable
from .features.inactivity import Inactivity
from .features.recording import Recording
from .features.supervisor import Supervisor
from .features.usage import UsageLimit
from .guardrails import Guardrail
from .listener import HEARD, AgentListener, calls
from .prices import PriceList
from .providers.base import Provider
from .session.event_bus import EventBus
from .session.observer import Observer
from .session.session import Session
from .tools.registry import ToolSource
from .voice import Connection, RealtimeVoice


class RealtimeAgent:
    """Opens a microphone and a loudspeaker and holds a conversation.

        await RealtimeAgent(instructions="Be brief.").run()

    Making one is cheap and needs neither devices nor a key. Settings that are given beside `config`
    win over it; None leaves it to `config`.

    Args:
        name: Tells agents apart that hand over to each other.
        instructions: What the model should be like.
        tools: `Tools`, functions and definitions.
        supervisor: Does long work behind one more tool.
        handoffs: Agents that may take over, or `realtime_handoff(agent, ...)`. What counts of them
            is who they are: name, instructions, tools, voice, guardrails, their own handoffs.
        conversation_seed: What the model takes for the conversation so far.
        context: Of the application: tools get it for a parameter `Inject[itsType]`.
        guardrails: Read what is said and can stop it.
        provider: As for `RealtimeVoice`.
        config: Everything else about the conversation.
        api_key: Instead of the environment's.
        base_url: Of a compatible server.
        model: The model.
        voice: The voice.
        speech_speed: 0.25-1.5, where the provider can.
        modalities: `["audio"]`, which brings text too, or `["text"]`.
        turn_detection: `ServerVAD(...)` or `SemanticVAD(...)`.
        transcription_model: Of the user's speech.
        audio_input: None: the default microphone (extra `audio`).
        audio_output: None: the default loudspeaker (extra `audio`).
        volume: 0.0-1.0.
        interruption_verdict_ms: How long speech has to last to cut in; 0 cuts at once.
        vad: Makes a local detector that decides this before the provider hears anything; None
            leaves it to the provider.
        echo_cancellation: For open loudspeakers (extra `aec`).
        skip_leading_silence: Whether answers begin with their first sound.
        inactivity_timeout_enabled: Whether silence ends the conversation.
        inactivity_timeout_seconds: After so much of it, counted from the end of hearing.
        usage_limit: How much a conversation may use before it ends politely.
        prices: What tokens cost: by model, or "published" (extra `prices`).
        recording_path: `.wav`, stereo, or `.pcm`, mono.
        record_to: A cassette (`.jsonl`) for every frame, without keys.
        listener: Gets callbacks.
        features: Makers of further observers.
    """

    def __init__(
        self,
        *,
        name: str = "assistant",
        instructions: str | None = None,
        tools: Iterable[ToolSource] | None = None,
        supervisor: Supervisor | None = None,
        handoffs: Iterable[Role | Handoff] = (),
        conversation_seed: ConversationSeed | None = None,
        context: object = None,
        guardrails: Sequence[Guardrail] = (),
        provider: str | Provider | Sequence[str | Provider] | None = None,
        config: RealtimeConfig | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        speech_speed: float | None = None,
        modalities: Sequence[Literal["text", "audio"]] | None = None,
        turn_detection: ServerVAD | SemanticVAD | None = None,
        transcription_model: str | None = None,
        audio_input: AudioInputDevice | None = None,
        audio_output: AudioOutputDevice | None = None,
        volume: float = 1.0,
        interruption_verdict_ms: int = 200,
        vad: Callable[[], Vad] | None = None,
        echo_cancellation: bool = False,
        skip_leading_silence: bool = True,
        inactivity_timeout_enabled: bool = False,
        inactivity_timeout_seconds: float = 30.0,
        usage_limit: UsageLimit | None = None,
        prices: PriceList | None = None,
        recording_path: str | Path | None = None,
        record_to: str | Path | None = None,
        listener: AgentListener | None = None,
        features: Sequence[Callable[[], Observer]] = (),
    ) -> None:
        base = config or RealtimeConfig()
        if supervisor is not None:
            tools = [base.tools if tools is None else tools, supervisor]
        given = {
            "instructions": instructions,
            "model": model,
            "voice": voice,
            "speed": speech_speed,
            "modalities": modalities,
            "turn_detection": turn_detection,
            "transcription": Transcription(model=transcription_model)
            if transcription_model
            else None,
            "tools": tools,
            "conversation_seed": conversation_seed,
        }
        self.name = name
        """Unique among agents that hand over to each other."""
        self.config = base.changed(
            interruption_verdict_ms=interruption_verdict_ms,
            skip_leading_silence=skip_leading_silence,
            **{name: value for name, value in given.items() if value is not None},
        )
        """Its own, without the tools by which it hands over."""
        self.guardrails = tuple(guardrails)
        """Its own: they count while it speaks."""
        self.handoffs: list[Role | Handoff] = list(handoffs)
        """Whom it may hand over to in conversations that begin afterwards."""
        self._input = audio_input
        self._output = audio_output
        self._volume = volume
        self._muted = False
        self._listener = listener or AgentListener()
        self._recording_path = Path(recording_path) if recording_path is not None else None
        self._recording: Recording | None = None
        self._makers = list(features)
        # Made here once for the errors: a wrong suffix or time should not show later.
        if self._recording_path is not None:
            Recording(self._recording_path)
            self._makers.append(self._record)
        if inactivity_timeout_enabled:
            Inactivity(inactivity_timeout_seconds)
            self._makers.append(partial(Inactivity, inactivity_timeout_seconds))
        self._make_voice = partial(
            RealtimeVoice,
            provider,
            api_key=api_key,
            base_url=base_url,
            vad=vad,
            echo_cancellation=echo_cancellation,
            usage_limit=usage_limit,
            prices=prices,
            record_to=record_to,
            context=context,
        )
        self._bus = EventBus()
        self._run: AgentRun | None = None
        self._running: asyncio.Task[AgentResult] | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._over = asyncio.Event()
        self._over.set()
        self._result: AgentResult | None = None

    # -- what it talks with -------------------------------------------------------------------

    @cached_property
    def voice(self) -> RealtimeVoice:
        """What it talks with. Its decorators can be used as well.

        Raises:
            ConfigurationError: If no provider can be chosen, or a limit lacks prices.
        """
        return self.new_voice(self.config)

    def new_voice(
        self, config: RealtimeConfig, guardrails: Sequence[Guardrail] = ()
    ) -> RealtimeVoice:
        """What conversations of this agent with another configuration are held with.

        Args:
            config: Instead of its own.
            guardrails: That count whoever speaks.

        Raises:
            ConfigurationError: As `voice`.
        """
        voice = self._make_voice(
            config=config,
            guardrails=guardrails,
            features=[*self._makers, partial(Handoffs, self, config)],
        )
        voice.resources.append(self)
        voice.owner = self
        voice.on(*HEARD)(calls(self._listener))
        return voice

    def connect(
        self,
        voice: RealtimeVoice | None = None,
        config: RealtimeConfig | None = None,
        event_bus: EventBus | None = None,
    ) -> Connection:
        """Start a conversation without devices: `async with agent.connect() as session:`.

        Args:
            voice: Made by `new_voice`; None: its own.
            config: That `voice` was made for.
            event_bus: Of this conversation.

        Raises:
            ConfigurationError: Before dialling, if something is asked for that cannot be had.
            RealtimeConnectionError: If the provider cannot be reached, or does not accept.
        """
        voice, config = voice or self.voice, config or self.config
        # Agents may have been told of each other after they were made.
        voice.config = equipped(self, config)
        everybody = reachable(self)
        voice.guardrails_of_agents = {role.name: role.guardrails for role in everybody}
        for other in everybody[1:]:
            voice.provider.check_voice(other.config, voice.provider.profile(config))
        return voice.connect(event_bus)

    @property
    def event_bus(self) -> EventBus:
        """Of the conversation that goes on, else of the next one: `subscribe(EventType, handler)`.

        Handlers for every conversation are given to `voice.on`.
        """
        return self._bus

    # -- while it runs ------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The conversation that is going on.

        Raises:
            SessionClosed: If there is none.
        """
        session = self._run.session if self._run is not None else None
        if session is None:
            raise SessionClosed("the agent is not running", advice="call run() first")
        return session

    @property
    def volume(self) -> float:
        """0.0 (silent) to 1.0; can be changed at any time."""
        return self._volume

    @volume.setter
    def volume(self, value: float) -> None:
        if self._run is not None and self._run.sink is not None:
            self._run.sink.volume = value
        self._volume = value

    @property
    def muted(self) -> bool:
        """While true the assistant speaks unheard."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        if self._run is not None and self._run.sink is not None:
            self._run.sink.muted = value
        self._muted = value

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> AgentResult:
        """Hold the conversation to its end: `stop()`, Ctrl+C, inactivity, or the input's end.

        Raises:
            RealtimeConnectionError: If it cannot be started. A connection that breaks for good
                later ends the run with `reason="disconnected"`.
            RealtimeError: If a device cannot be opened (cause `device`), the configuration cannot
                be had, or it is running already.
        """
        if self._owner is not None:
            raise RealtimeError(
                "the agent is running already",
                cause="application",
                advice="wait for the end of the conversation, or make another agent",
            )
        run = self._begin()
        self._owner = asyncio.current_task()
        try:
            with ctrl_c(partial(run.end, "interrupted")):
                await self._listener.on_agent_starting()
                rate = self.voice.config.output_rate  # before a device opens: there may be no key
                microphone, speaker = self._devices()
                self._result = await run.hold(
                    microphone,
                    speaker,
                    rate=rate,
                    volume=self._volume,
                    muted=self._muted,
                    recording_path=self._recording_path,
                    recording_error=self._recording_error,
                )
                return self._result
        finally:
            try:
                await self._listener.on_agent_stopped()
            finally:
                self._run, self._bus, self._owner = None, EventBus(), None
                self._over.set()

    async def stop(self) -> AgentResult | None:
        """End the conversation; its result, also afterwards. None if it never ran."""
        if self._run is not None:
            self._run.end("stopped")
        if asyncio.current_task() is not self._owner:
            await self._over.wait()
        return self._result

    async def __aenter__(self) -> Self:
        self._begin()
        self._running = asyncio.create_task(self.run(), name="realtime agent")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        # Leaving the block normally waits for the conversation to end by itself.
        if kind is not None and self._run is not None:
            self._run.end("stopped")
        if self._running is not None:
            await self._running

    def _begin(self) -> AgentRun:
        """The conversation that is about to begin; it can be told to end before its first step."""
        if self._run is None:
            self._over.clear()
            self._run = AgentRun(
                partial(self._play_to, self._bus),
                self._bus,
                name=self.name,
                listener=self._listener,
            )
        return self._run

    def _play_to(self, bus: EventBus, sink: AudioSink) -> Connection:
        self.voice.sink = sink
        return self.connect(event_bus=bus)

    def _devices(self) -> tuple[AudioInputDevice, AudioOutputDevice]:
        if self._input is None or self._output is None:
            from .devices.soundcard import Microphone, Speaker

            return self._input or Microphone(), self._output or Speaker()
        return self._input, self._output

    def _record(self) -> Recording:
        assert self._recording_path is not None  # noqa: S101 - else this is not called
        self._recording = Recording(self._recording_path)
        return self._recording

    def _recording_error(self) -> RealtimeError | None:
        return self._recording.error if self._recording is not None else None
