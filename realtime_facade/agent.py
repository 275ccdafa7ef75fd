"""A whole voice assistant in one object: devices, conversation, recording, callbacks."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from .audio.vad import Vad
from .config import RealtimeConfig, SemanticVAD, ServerVAD, Transcription
from .conversation import ConversationTurn
from .devices.adapters import mono_chunks, sink_for
from .devices.base import AudioInputDevice, AudioOutputDevice
from .errors import RealtimeConnectionError, RealtimeError, SessionClosed
from .events import ResponseDone, Usage
from .features.inactivity import Inactivity
from .features.recording import Recording
from .listener import HEARD, AgentListener, calls
from .providers.base import Provider
from .session.observer import Observer
from .session.session import Session
from .tools.registry import ToolSource
from .voice import RealtimeVoice

Reason = Literal["stopped", "interrupted", "inactivity", "input_ended", "disconnected"]


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How a conversation went."""

    turns: list[ConversationTurn]
    recording_path: Path | None
    usage: Usage
    """Of all answers together."""
    reason: Reason
    """Why it ended: `stop()`, Ctrl+C, nobody spoke, the input ended, the provider hung up."""
    error: RealtimeError | None = None
    """Why the provider hung up."""
    recording_error: RealtimeError | None = None
    """Why the recording is incomplete, such as a full disk."""

    @property
    def conversation_turns(self) -> list[ConversationTurn]:
        """The same as `turns`."""
        return self.turns


class RealtimeAgent:
    """Opens a microphone and a loudspeaker and holds a conversation.

        await RealtimeAgent(instructions="Be brief.").run()

    Settings that are given beside `config` win over it; None leaves it to `config`.

    Args:
        instructions: What the model should be like.
        provider: As for `RealtimeVoice`.
        config: Everything else about the conversation.
        api_key: Instead of the environment's.
        base_url: Of a compatible server.
        model: The model.
        voice: The voice.
        speech_speed: 0.25-1.5, where the provider can.
        turn_detection: `ServerVAD(...)` or `SemanticVAD(...)`.
        transcription_model: Of the user's speech.
        tools: `Tools`, functions and definitions.
        audio_input: None: the default microphone (extra `audio`).
        audio_output: None: the default loudspeaker (extra `audio`).
        volume: 0.0-1.0.
        recording_path: `.wav`, stereo, or `.pcm`, mono.
        listener: Gets callbacks.
        inactivity_timeout_enabled: Whether silence ends the conversation.
        inactivity_timeout_seconds: After so much of it, counted from the end of hearing.
        interruption_verdict_ms: How long speech has to last to cut in; 0 cuts at once.
        vad: Makes a local detector that decides this before the provider hears anything; None
            leaves it to the provider.
        echo_cancellation: For open loudspeakers (extra `aec`).
        skip_leading_silence: Whether answers begin with their first sound.
        context: Of the application: tools get it for a parameter `Inject[itsType]`.
        features: Makers of further observers.
    """

    def __init__(
        self,
        *,
        instructions: str | None = None,
        provider: str | Provider | None = None,
        config: RealtimeConfig | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        speech_speed: float | None = None,
        turn_detection: ServerVAD | SemanticVAD | None = None,
        transcription_model: str | None = None,
        tools: Iterable[ToolSource] | None = None,
        audio_input: AudioInputDevice | None = None,
        audio_output: AudioOutputDevice | None = None,
        volume: float = 1.0,
        recording_path: str | Path | None = None,
        listener: AgentListener | None = None,
        inactivity_timeout_enabled: bool = False,
        inactivity_timeout_seconds: float = 30.0,
        interruption_verdict_ms: int = 200,
        vad: Callable[[], Vad] | None = None,
        echo_cancellation: bool = False,
        skip_leading_silence: bool = True,
        context: object = None,
        features: Sequence[Callable[[], Observer]] = (),
    ) -> None:
        base = config or RealtimeConfig()
        given = {
            "instructions": instructions,
            "model": model,
            "voice": voice,
            "speed": speech_speed,
            "turn_detection": turn_detection,
            "transcription": Transcription(model=transcription_model)
            if transcription_model
            else None,
            "tools": tools,
        }
        self.config = base.changed(
            interruption_verdict_ms=interruption_verdict_ms,
            skip_leading_silence=skip_leading_silence,
            **{name: value for name, value in given.items() if value is not None},
        )
        self._input = audio_input
        self._output = audio_output
        self._volume = volume
        self._muted = False
        self._listener = listener or AgentListener()
        self._recording_path = Path(recording_path) if recording_path is not None else None
        makers = list(features)
        self._recording: Recording | None = None
        self._inactivity: Inactivity | None = None
        # Made here once for the errors: a wrong suffix or time should not show later.
        if self._recording_path is not None:
            Recording(self._recording_path)
            makers.append(self._record)
        if inactivity_timeout_enabled:
            Inactivity(inactivity_timeout_seconds)
            self._inactivity_timeout_s = inactivity_timeout_seconds
            makers.append(self._watch_silence)
        self.voice = RealtimeVoice(
            provider,
            self.config,
            api_key=api_key,
            base_url=base_url,
            vad=vad,
            echo_cancellation=echo_cancellation,
            context=context,
            features=makers,
        )
        """Its decorators can be used as well."""
        self.voice.resources.append(self)
        self.voice.on(*HEARD)(calls(self._listener))
        self.voice.on(ResponseDone)(self._count)
        self._usage = Usage()
        self._session: Session | None = None
        self._sink: Any = None
        self._running: asyncio.Task[AgentResult] | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._stop = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self._reason: Reason = "stopped"
        self._result: AgentResult | None = None

    # -- while it runs ------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The conversation that is going on.

        Raises:
            SessionClosed: If there is none.
        """
        if self._session is None:
            raise SessionClosed("the agent is not running", advice="call run() first")
        return self._session

    @property
    def volume(self) -> float:
        """0.0 (silent) to 1.0; can be changed at any time."""
        return self._volume

    @volume.setter
    def volume(self, value: float) -> None:
        if self._sink is not None:
            self._sink.volume = value
        self._volume = value

    @property
    def muted(self) -> bool:
        """While true the assistant speaks unheard."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        if self._sink is not None:
            self._sink.muted = value
        self._muted = value

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> AgentResult:
        """Hold the conversation to its end: `stop()`, Ctrl+C, inactivity, or the input's end.

        Raises:
            RealtimeConnectionError: If it cannot be started. A connection that breaks later ends
                the run with `reason="disconnected"`.
            RealtimeError: If a device cannot be opened (cause `device`), or the configuration
                cannot be had.
        """
        self._over.clear()
        self._owner = asyncio.current_task()
        self._usage = Usage()
        try:
            with self._ctrl_c():
                await self._listener.on_agent_starting()
                self._result = await self._converse()
                return self._result
        finally:
            try:
                await self._listener.on_agent_stopped()
            finally:
                self._stop.clear()
                self._over.set()

    async def stop(self) -> AgentResult | None:
        """End the conversation; its result, also afterwards. None if it never ran."""
        self._end("stopped")
        if asyncio.current_task() is not self._owner:
            await self._over.wait()
        return self._result

    async def __aenter__(self) -> Self:
        self._over.clear()
        self._running = asyncio.create_task(self.run(), name="realtime agent")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        # Leaving the block normally waits for the conversation to end by itself.
        if kind is not None:
            self._end("stopped")
        if self._running is not None:
            await self._running

    async def _converse(self) -> AgentResult:
        microphone, speaker = self._devices()
        async with contextlib.AsyncExitStack() as stack:
            sink = sink_for(speaker, self.config.output_rate)
            stack.push_async_callback(sink.stop)
            await sink.start()
            sink.volume, sink.muted = self._volume, self._muted
            self._sink = sink
            self.voice.sink = sink
            session = await stack.enter_async_context(self.voice.connect())
            self._session = session
            speaker.on_error = microphone.on_error = session.report
            await self._listener.on_agent_session_connected()
            stack.push_async_callback(microphone.stop)
            await microphone.start()
            reason = await self._until_over(session, microphone)
        self._session = self._sink = None
        ended = await session.wait_closed()
        lost = ended if isinstance(ended, RealtimeConnectionError) else None
        return AgentResult(
            turns=session.history.turns,
            recording_path=self._recording_path,
            usage=self._usage,
            reason="disconnected" if lost else reason,
            error=lost,
            recording_error=self._recording.error if self._recording is not None else None,
        )

    def _record(self) -> Recording:
        assert self._recording_path is not None  # noqa: S101 - else this is not called
        self._recording = Recording(self._recording_path)
        return self._recording

    def _watch_silence(self) -> Inactivity:
        self._inactivity = Inactivity(self._inactivity_timeout_s)
        return self._inactivity

    async def _until_over(self, session: Session, microphone: AudioInputDevice) -> Reason:
        stop = asyncio.create_task(self._stop.wait(), name="agent stop")
        hang_up = asyncio.create_task(session.wait_closed(), name="agent hang-up")
        listen = asyncio.create_task(self._listen(session, microphone), name="agent microphone")
        ends: tuple[asyncio.Task[Any], ...] = (stop, hang_up, listen)
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if stop in done:
                return self._reason
            if hang_up not in done:
                return "input_ended"
            silent = self._inactivity is not None and self._inactivity.timed_out
            return "inactivity" if silent else "stopped"
        finally:
            for task in ends:
                task.cancel()
            await asyncio.wait(ends)

    async def _listen(self, session: Session, microphone: AudioInputDevice) -> None:
        with contextlib.suppress(SessionClosed):
            async with contextlib.aclosing(mono_chunks(microphone, session.input_rate)) as chunks:
                async for chunk in chunks:
                    await session.send_audio(chunk)
            await session.end_audio()
            await session.wait_quiet()

    def _devices(self) -> tuple[AudioInputDevice, AudioOutputDevice]:
        if self._input is None or self._output is None:
            from .devices.soundcard import Microphone, Speaker

            return self._input or Microphone(), self._output or Speaker()
        return self._input, self._output

    def _end(self, reason: Reason) -> None:
        if not self._over.is_set():
            self._reason = reason
            self._stop.set()

    @contextlib.contextmanager
    def _ctrl_c(self) -> Iterator[None]:
        """Let Ctrl+C end the conversation instead of the program, where the platform can."""
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGINT, self._end, "interrupted")
        except (NotImplementedError, RuntimeError, ValueError):
            # Windows, or not the main thread: Ctrl+C cancels the task, which cleans up as well.
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _count(self, event: ResponseDone) -> None:
        if event.usage is not None:
            self._usage = self._usage + event.usage
