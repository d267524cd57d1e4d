"""What config/host.yaml may say of the hooks of tutors."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HookLimits"]


class HookLimits(BaseModel):
    """How long each hook may take, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    create_agent: float = Field(default=10, gt=0, le=60, description="seconds")
    on_user_ready: float = Field(default=10, gt=0, le=60, description="seconds")
    on_progress_tick: float = Field(default=5, gt=0, le=60, description="seconds")
    on_session_end: float = Field(default=10, gt=0, le=60, description="seconds")
