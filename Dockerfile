# loqua-host with its three tutors, without anything that only developers need.
#   docker build -t loqua-host .
#   docker run --init --stop-timeout 660 --env-file production.env \
#     -v ./config:/config:ro -v loqua-ledger:/app/var loqua-host
# The time to stop lets running lessons end: lessons.drain in config/host.yaml, and a minute.

FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /source
ENV UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/app/venv \
    UV_PYTHON_DOWNLOADS=never
COPY . .
RUN uv sync --locked --only-group production --no-editable

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home loqua \
    && install --directory --owner=loqua /app/var
COPY --from=build /app/venv /app/venv
COPY config /config
ENV PATH=/app/venv/bin:$PATH \
    LOQUA_ENVIRONMENT=production
WORKDIR /app
USER loqua
VOLUME /app/var
STOPSIGNAL SIGTERM
ENTRYPOINT ["loqua-host"]
CMD ["run", "--config", "/config"]
