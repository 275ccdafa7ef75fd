"""The assistant's speech on its way to the listener: rate, leading silence, ledger, captions."""

import asyncio
from collections.abc import Callable

from ..audio.leading import MOST_ITEMS, LeadingSilence
from ..audio.playback import Playback
from ..audio.resample import Resampler
from ..config import RealtimeConfig
from ..events import AudioChunk, TranscriptDelta
from .captions import Captions


class Speech:
    """What happens to every chunk and word before anybody hears of it."""

    def __init__(
        self,
        config: RealtimeConfig,
        playback: Playback,
        *,
        release: Callable[[TranscriptDelta], None],
        call_later: Callable[[float, Callable[[], None]], "asyncio.Task[None]"],
    ) -> None:
        self._rate = config.output_rate
        self._playback = playback
        self._resamplers: dict[str, Resampler] = {}
        self._leading = LeadingSilence(self._rate) if config.skip_leading_silence else None
        # Text that is not spoken has nothing to wait for.
        aligned = config.captions == "heard" and config.modalities == ("audio",)
        self._captions = Captions(playback, release, call_later) if aligned else None

    def sound(self, chunk: AudioChunk) -> AudioChunk | None:
        """Play a chunk; as it is at the session's rate, or None if nothing of it is left."""
        data, skipped = chunk.data, 0
        if chunk.sample_rate != self._rate:
            data = self._resampled(chunk)
        if self._leading is not None:
            data, skipped = self._leading.trim(chunk.item_id, data, is_final=chunk.is_final)
        if data is not chunk.data:
            chunk = AudioChunk(
                data=data,
                sample_rate=self._rate,
                is_final=chunk.is_final,
                item_id=chunk.item_id,
                response_id=chunk.response_id,
            )
        if data:
            self._playback.write(chunk.item_id, data, skipped=skipped)
        elif not chunk.is_final:
            return None
        if self._captions is not None:
            self._captions.audio(chunk.item_id, is_final=chunk.is_final)
        return chunk

    def caption(self, delta: TranscriptDelta) -> bool:
        """Whether these words are held back until they are heard."""
        if self._captions is None or delta.speaker != "assistant":
            return False
        self._captions.add(delta)
        return True

    def cut(self) -> None:
        """Forget what is under way."""
        self._resamplers.clear()
        if self._leading is not None:
            self._leading.reset()
        if self._captions is not None:
            self._captions.cut()

    def _resampled(self, chunk: AudioChunk) -> bytes:
        resampler = self._resamplers.get(chunk.item_id)
        if resampler is None:
            resampler = Resampler(chunk.sample_rate, self._rate)
            self._resamplers[chunk.item_id] = resampler
            if len(self._resamplers) > MOST_ITEMS:
                del self._resamplers[next(iter(self._resamplers))]
        data = resampler.push(chunk.data)
        if chunk.is_final:
            data += resampler.flush()
            del self._resamplers[chunk.item_id]
        return data
