"""Metrics and logs without secrets and without what learners say."""
