# loqua-host with its three tutors, without anything that only developers need.
#   docker build -t loqua-host .
#   docker run --read-only --tmpfs /tmp --stop-timeout 660 --env-file production.env \
#     -v ./config:/config:ro -v loqua-ledger:/app/var loqua-host
# For probes, Prometheus and people beyond the container, config/host.yaml opens the ops address
# with a certificate: `ops: {address: 0.0.0.0, tls: …}`, -v ./tls:/run/tls:ro, -p 9464:9464.
# --stop-timeout lets running lessons end: lessons.drain_timeout in config/host.yaml plus a minute.
#
# The host removes the secrets from its environment. Tutors could read them in /proc of any other
# process that has them and runs as the same user. Therefore use no --init and no HEALTHCHECK; probe
# /health/live and /health/ready from outside.
#
# /app/sbom.json lists the contents of the image (CycloneDX).
#
# Packages of more than 10 MB, including bytecode (which makes jobs start faster), and their purpose:
#   livekit           76  LiveKit's agents, its WebRTC library, and models of voice activity and turns
#   av               104  FFmpeg, which livekit-agents imports: audio of engines
#   numpy             53  LiveKit's audio frames
#   openai            30  livekit-agents imports it, and hosted speech uses it
#   language_data     24  names of languages in the learner's own
#   simplemma         19  lemmas of the conversation tutor
#   cryptography      16  learners' tokens, the ledger's encryption
#   psycopg           14  the ledger in Postgres
#   pygments          10  of rich, which prints the tables of `check`
#
# The target loqua-host-parts has local replacements for external services: the development API and
# the speech server. config/compose.yaml builds both targets.

FROM python:3.13-slim AS source
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /source
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/app/venv \
    UV_PYTHON_DOWNLOADS=never
COPY . .

FROM source AS parts-build
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --only-group parts --no-editable

FROM source AS build
# livekit-agents declares an exporter over gRPC, but uses that over HTTP. Pillow draws images for
# language models: an image for a tutor with video adds it. Of boto3's services, the host uses one,
# and three to log in.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --only-group production --no-editable \
        --no-install-package grpcio \
        --no-install-package opentelemetry-exporter-otlp-proto-grpc \
        --no-install-package pillow \
    && uv export --locked --only-group production --no-editable --quiet \
        --no-emit-package grpcio \
        --no-emit-package opentelemetry-exporter-otlp-proto-grpc \
        --no-emit-package pillow \
        --format cyclonedx1.5 --output-file /app/sbom.json
WORKDIR /app/venv/lib/python3.13/site-packages
RUN find botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name secretsmanager ! -name sts ! -name sso ! -name sso-oidc -exec rm -r {} + \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && find . \( -name '*.py[ix]' -o -name '*.pxd' -o -name '*.[ch]' \) -delete \
    && rm -r numpy/f2py numpy/_core/include numpy/_core/lib numpy/random/lib

FROM python:3.13-slim AS loqua-host-parts
RUN useradd --system --uid 10001 --create-home loqua
COPY --from=parts-build /app/venv /app/venv
ENV PATH=/app/venv/bin:$PATH
WORKDIR /app
USER 10001
STOPSIGNAL SIGTERM

FROM python:3.13-slim AS loqua-host
RUN useradd --system --uid 10001 --create-home loqua \
    && install --directory --owner=loqua /app/var
COPY --from=build /app/sbom.json /app/sbom.json
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
