"""The job process: one lesson of one tutor, without any secret of the host."""
