"""Operations: logs, health checks, metrics, status page, LiveKit's webhooks."""
