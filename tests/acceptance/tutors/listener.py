"""A tutor that notes who of several learners has spoken."""

from livekit.agents import Agent, StopResponse, get_job_context, llm

from loqua_host import Lesson, Turns, Tutor, hookimpl


class Listener(Agent):
    """Listens, and says nothing."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__(instructions="")
        self.lesson = lesson
        self.turns = Turns()
        self.number = 0

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Note who has spoken."""
        learner = self.turns.add(new_message, None).learner
        self.number += 1
        self.lesson.log.info("listener.heard", number=self.number, learner=learner.user_id)
        raise StopResponse


class Plugin:
    """The tutor's hooks."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Name the tutor."""
        return Tutor(name="listener")

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the listener."""
        return Listener(lesson)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson) -> None:
        """Note that it is there."""
        lesson.log.info("listener.ready")

    @hookimpl
    async def on_progress_tick(self, lesson: Lesson) -> None:
        """Note how many others are there, and how many microphones are subscribed to."""
        present = get_job_context().room.remote_participants.values()
        microphones = [it.track for who in present for it in who.track_publications.values()]
        subscribed = len(microphones) - microphones.count(None)
        lesson.log.info("listener.tick", others=len(lesson.others), microphones=subscribed)


plugin = Plugin()
