"""What stands for the services of a voice agent: each does the least that the SDK's pipeline needs."""

from typing import Any

from videosdk.agents import LLM, STT, TTS, VAD, LLMResponse, SpeechData, SpeechEventType, STTResponse
from videosdk.agents.llm.chat_context import ChatRole
from videosdk.agents.vad import VADData, VADEventType, VADResponse


class Vad(VAD):
    """Bytes that are not zero are speech."""

    speaking = False

    async def process_audio(self, audio_frames: bytes, **_: Any) -> None:
        speaks = any(audio_frames)
        if speaks != self.speaking and self._vad_callback:
            self.speaking = speaks
            kind = VADEventType.START_OF_SPEECH if speaks else VADEventType.END_OF_SPEECH
            await self._vad_callback(VADResponse(event_type=kind, data=VADData(is_speech=speaks, confidence=1.0)))


class Stt(STT):
    """Hears how many bytes were spoken."""

    heard = 0

    async def process_audio(self, audio_frames: bytes, language: str | None = None, **_: Any) -> None:
        if any(audio_frames):
            self.heard += len(audio_frames)
        elif self.heard and self._transcript_callback:
            data = SpeechData(text=f"{self.heard} bytes", confidence=1.0)
            self.heard = 0
            await self._transcript_callback(STTResponse(event_type=SpeechEventType.FINAL, data=data))


class Llm(LLM):
    """Says back what was said."""

    async def chat(self, messages: Any, tools: Any = None, **_: Any) -> Any:
        said = [item.content for item in messages.items if getattr(item, "role", None) == ChatRole.USER]
        text = said[-1] if isinstance(said[-1], str) else " ".join(map(str, said[-1]))
        yield LLMResponse(content=f"You said: {text}", role=ChatRole.ASSISTANT)

    async def cancel_current_generation(self) -> None:
        pass


class Tts(TTS):
    """Speaks the text's own bytes."""

    async def synthesize(self, text: Any, voice_id: str | None = None, **_: Any) -> None:
        words = text if isinstance(text, str) else "".join([piece async for piece in text if isinstance(piece, str)])
        if self.audio_track is not None and words:
            if self._first_audio_callback:
                await self._first_audio_callback()
            await self.audio_track.add_new_bytes(words.encode())

    async def interrupt(self) -> None:
        pass
