"""What a user would pick instead, each a program of its own, and `python -m bench.peers`, which runs them beside ours."""
