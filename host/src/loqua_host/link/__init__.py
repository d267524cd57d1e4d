"""The link between a job process and its host: one connection per lesson."""
