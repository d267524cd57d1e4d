"""The contract between host and tutors: hooks, `Tutor`, `Lesson`, reports."""
