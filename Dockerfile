# loqua-host with its three tutors, without anything that only developers need.
#   docker build -t loqua-host .
#   docker run --stop-timeout 660 --env-file production.env \
#     -v ./config:/config:ro -v loqua-ledger:/app/var loqua-host
# For probes, Prometheus and people beyond the container, config/host.yaml opens the ops address
# with a certificate: `ops: {address: 0.0.0.0, tls: …}`, -v ./tls:/run/tls:ro, -p 9464:9464.
# The time to stop lets running lessons end: lessons.drain_timeout in config/host.yaml, and a minute.
#
# The host takes the secrets out of its environment. Whatever else is started with them, as the
# same user, lets tutors read them in /proc: so no --init, and no HEALTHCHECK. Ask from outside
# at /health/live and /health/ready.

FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /source
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/app/venv \
    UV_PYTHON_DOWNLOADS=never
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --only-group production --no-editable

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home loqua \
    && install --directory --owner=loqua /app/var
COPY --from=build /app/venv /app/venv
COPY config /config
ENV PATH=/app/venv/bin:$PATH \
    LOQUA_ENVIRONMENT=production
WORKDIR /app
# By its number, which Kubernetes can tell from root's (runAsNonRoot).
USER 10001
VOLUME /app/var
STOPSIGNAL SIGTERM
ENTRYPOINT ["loqua-host"]
CMD ["run", "--config", "/config"]
