"""The section `lessons.limits:` of config/host.yaml."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HookLimits"]


class HookLimits(BaseModel):
    """The time limit of each hook, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    create_agent: float = Field(default=10, gt=0, le=60, description="seconds, up to 60")
    on_user_ready: float = Field(default=10, gt=0, le=60, description="seconds, up to 60")
    on_progress_tick: float = Field(default=5, gt=0, le=60, description="seconds, up to 60")
    on_session_end: float = Field(default=10, gt=0, le=60, description="seconds, up to 60")
