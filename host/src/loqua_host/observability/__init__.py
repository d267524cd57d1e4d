"""What is counted and logged, without secrets and without what learners say."""
