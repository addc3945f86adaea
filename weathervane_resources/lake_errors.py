"""What can go wrong with the lake, said in one line without a row, a credential or a server's own words.

Belongs here: the errors of everything below the lake's root. Does not belong here: reading or writing it.
"""

from __future__ import annotations

import re

from obstore.exceptions import BaseError as ObjectStoreError

TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
QUERY = re.compile(r"\?\S+")
LONGEST_REASON = 300


class LakeError(Exception):
    """The lake cannot be read or written. The message says which table and what to do, never a row."""


class StubWouldReplaceLive(LakeError):
    """Stub or missing data was about to replace rows that came from a vendor."""


def reason(error: BaseException) -> str:
    """Return why, in one line: of a table's error the first line, since the ones after it may quote rows.

    A store's error is a chain of causes, of which the last says most; what the server answered is left out, since it
    may quote the access key, and so is the query of an address, since it may be signed.
    """
    text = TERMINAL_COLOUR.sub("", str(error))
    if not isinstance(error, OSError | ObjectStoreError):
        return text.partition("\n")[0][:LONGEST_REASON]
    causes = re.split(r"\n\s*\n|<", text)[0].replace("↳", "")
    return QUERY.sub("", " ".join(causes.split()))[:LONGEST_REASON]
