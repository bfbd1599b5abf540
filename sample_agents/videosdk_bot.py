"""An agent written for the VideoSDK SDK: the quick start of its guide to workers, with an agent to go with it.

Needs `pip install 'agent-workbench[sdk]'`, and no account: what would be services (hearing, thinking, speaking) are
four small fakes, and the room is the SDK's WebSocket transport. Run `workbench sample_agents/videosdk_bot.py` and
type; or connect a WebSocket client to the `url` shown with the job, send it 16-bit audio and then silence. Without a
screen (`--no-tui`) its `register=True` is followed, and asks for a token: add `--no-register`.
"""

from videosdk.agents import (
    LLM,
    STT,
    TTS,
    VAD,
    Agent,
    AgentSession,
    JobContext,
    LLMResponse,
    Options,
    Pipeline,
    RoomOptions,
    SpeechData,
    SpeechEventType,
    STTResponse,
    VADEventType,
    VADResponse,
    WorkerJob,
)
from videosdk.agents.llm.chat_context import ChatRole
from videosdk.agents.vad import VADData

GREETING = "Hello! I say back what you say."


class LoudIsSpeech(VAD):
    """Whoever is loud speaks; who is quiet has spoken."""

    speaking = False

    async def process_audio(self, audio_frames, **_):
        loud = max(audio_frames, default=0) > 0
        if loud != self.speaking and self._vad_callback:
            self.speaking = loud
            kind = VADEventType.START_OF_SPEECH if loud else VADEventType.END_OF_SPEECH
            await self._vad_callback(VADResponse(event_type=kind, data=VADData(is_speech=loud, confidence=1.0)))


class CountsBytes(STT):
    """Hears how much was said, not what."""

    heard = 0

    async def process_audio(self, audio_frames, language=None, **_):
        if max(audio_frames, default=0) > 0:
            self.heard += len(audio_frames)
        elif self.heard and self._transcript_callback:
            text, self.heard = f"{self.heard} bytes", 0
            data = SpeechData(text=text, confidence=1.0)
            await self._transcript_callback(STTResponse(event_type=SpeechEventType.FINAL, data=data))


class SaysItBack(LLM):
    """Thinks of nothing new."""

    async def chat(self, messages, tools=None, **_):
        said = [item for item in messages.items if getattr(item, "role", None) == ChatRole.USER]
        content = said[-1].content if said else ""
        text = content if isinstance(content, str) else " ".join(map(str, content))
        yield LLMResponse(content=f"You said: {text}", role=ChatRole.ASSISTANT)

    async def cancel_current_generation(self):
        pass


class SpeaksText(TTS):
    """The audio of a text is the text itself, so that a client can read what it hears."""

    async def synthesize(self, text, voice_id=None, **_):
        words = text if isinstance(text, str) else "".join([str(piece) async for piece in text])
        if self.audio_track is not None and words:
            if self._first_audio_callback:
                await self._first_audio_callback()
            await self.audio_track.add_new_bytes(words.encode())

    async def interrupt(self):
        pass


class Echo(Agent):
    def __init__(self):
        super().__init__(instructions="Say back what you hear.")

    async def on_enter(self):
        await self.session.say(GREETING)

    async def on_exit(self):
        pass


async def your_agent_function(ctx: JobContext):
    pipeline = Pipeline(stt=CountsBytes(), llm=SaysItBack(), tts=SpeaksText(), vad=LoudIsSpeech())
    session = AgentSession(agent=Echo(), pipeline=pipeline)
    await ctx.run_until_shutdown(session=session, wait_for_participant=True)


options = Options(
    agent_id="MyAgent",
    max_processes=5,
    register=True,  # Registers worker with the backend for job scheduling
)
room_options = RoomOptions(name="My Agent", transport_mode="websocket")
job_context = JobContext(room_options=room_options)
job = WorkerJob(entrypoint=your_agent_function, jobctx=lambda: job_context, options=options)
job.start()
