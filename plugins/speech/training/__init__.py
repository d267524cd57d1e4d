"""Training pipelines of what the speech server ships; no part of the package."""
