"""Training pipelines of the speech server's models; not part of the package."""
