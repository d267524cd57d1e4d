"""The home of LiveKit language tutors: what a tutor author imports."""
