"""Coverage-guided fuzzing of what reads vendors' answers: `make fuzz` (a program of its own, with atheris)."""
