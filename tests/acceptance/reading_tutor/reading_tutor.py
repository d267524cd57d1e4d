"""An agent that reads aloud for minutes, to notice interruptions."""

from livekit.agents import Agent

__all__ = ["Reader"]

STORY = (
    "Una mañana de abril, la panadera abrió la puerta y vio que la plaza estaba llena de agua, "
    "de barcas pequeñas y de niños que remaban con cucharas de madera entre los árboles. "
)


class Reader(Agent):
    """An agent that reads its story again and again."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        """Begin to read."""
        self.session.say(20 * STORY, allow_interruptions=False)
