"""What runs in a job process: one lesson of one tutor, with no host secret."""
