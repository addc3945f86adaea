"""Every benchmark with what it measures: `python -m bench --list`; without it all are run; exit 1 if one misses its aim."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Return what each module of this folder says it measures."""
    modules = sorted(path for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return {path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0] for path in modules}


def main(arguments: list[str]) -> int:
    """List them, or run those named, or all: each in a process of its own, since they measure memory."""
    known = benchmarks()
    if arguments == ["--list"]:
        for name, what in known.items():
            print(f"{name:20} {what}")
        return 0
    unknown = set(arguments) - set(known)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    codes = [
        subprocess.run([sys.executable, "-m", f"bench.{n}"], check=False).returncode for n in arguments or list(known)
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
