"""What `make` would do, without doing it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_clean_leaves_the_lake_and_the_tokens() -> None:
    """`storage/` is where a shop of one's own is kept too: lake, stored tokens with their key, Dagster's history."""
    done = subprocess.run(["make", "-n", "clean"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "build" in done.stdout.split()
    assert not [word for word in done.stdout.split() if word.startswith(("storage", "tenants"))]
