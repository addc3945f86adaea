"""The graph: assets, their contracts, their transforms, and how they are started.

Belongs here: what is computed from what, and when. Does not belong here: how a vendor is spoken to
(`weathervane_resources`) and whether a result is to be believed (`weathervane_checks`).
"""

import gc

# what Dagster and this package import lives as long as the process: looking through it for garbage while it comes cost half a
# second of a night's six (docs/scale.md); `definitions.py` then sets it aside (`gc.freeze`)
gc.set_threshold(50_000, 20, 100)
