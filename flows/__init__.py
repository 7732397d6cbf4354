"""The flows that people start or schedule: one file per job, each told as a series of steps."""
