"""What a developer runs beside the host: a Loqua API, a LiveKit server, a learner."""
