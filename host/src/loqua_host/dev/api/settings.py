"""Settings of a development API."""

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from .faults import AnyFault
from .learners import INVENTED, RegisteredLearner
from .models import Identifier
from .tokens import AgentClaims, sign


def _new_secret() -> SecretStr:
    return SecretStr(secrets.token_hex(32))


class DevApiSettings(BaseModel):
    """Settings of a development API; no repr shows its secrets.

    Attributes:
        shared_secret: Encrypts the learners' JWTs, as the host's `SHARED_SECRET` decrypts them.
        livekit_url: Where `/rooms/join` sends learners.
        livekit_api_key: Signs their tokens, with `livekit_api_secret`.
        agent_signing_secret: Signs the agents' JWTs; a new one for each start by default.
        user_signing_secret: Signs the learners' JWTs; likewise.
        token_lifetime: How long a learner's JWT is good for, in seconds.
        honour_idempotency: Whether a repeated `Idempotency-Key` gets the first answer. The
            guide's v1 promises no such thing.
        ephemeral_keys: Whether learners' JWTs are sealed to a key that an agent offers in
            `X-Agent-Public-Key`. The guide's v1 knows no such header.
        service_sessions: Whether an agent's own JWT creates the records of sessions, too: the
            hybrid access that the guide recommends.
        v1_sunset: When v1 ends, which is announced six months ahead; None while v1 and v2 are both
            to stay.
        host: The address to listen at. The faults and learners under `/dev` have no lock, so
            leave it on the loopback.
        port: The port to listen at; 0 picks a free one.
        learners: Those known from the start, by user id.
        faults: Those in force from the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shared_secret: SecretStr = Field(min_length=1)
    livekit_url: str
    livekit_api_key: str
    livekit_api_secret: SecretStr
    agent_signing_secret: SecretStr = Field(default_factory=_new_secret, min_length=32)
    user_signing_secret: SecretStr = Field(default_factory=_new_secret, min_length=32)
    token_lifetime: int = Field(default=3600, ge=1)
    honour_idempotency: bool = False
    ephemeral_keys: bool = False
    service_sessions: bool = False
    v1_sunset: AwareDatetime | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    learners: Mapping[Identifier, RegisteredLearner] = INVENTED
    faults: tuple[AnyFault, ...] = ()

    def mint_agent_jwt(
        self,
        agent_id: str,
        lifetime: timedelta = timedelta(days=30),
        clock: Callable[[], float] = time.time,
    ) -> str:
        """Return a JWT that an API with these settings accepts as an agent's, for any agent ids."""
        now = int(clock())
        claims = AgentClaims(sub=agent_id, iat=now, exp=now + int(lifetime.total_seconds()))
        return sign(claims, self.agent_signing_secret.get_secret_value())
