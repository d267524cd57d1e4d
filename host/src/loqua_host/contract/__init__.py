"""The contract between host and tutors: hooks, the tutor's declaration, a lesson, records."""
