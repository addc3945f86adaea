"""How a picture is made ready: its library is large, so it is imported where it costs nobody time."""

from __future__ import annotations

import subprocess
import sys

PREPARED = """
import sys, threading
from weathervane_assets import drawing
assert "matplotlib" not in sys.modules
drawing.prepare()
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
before = set(sys.modules)
figure, axes = drawing.day_canvas("a title")
axes.bar([1, 2], [3, 4])
drawing.date_axis(axes)
assert drawing.markdown(figure, axes, "a title").startswith("![a title](data:image/png;base64,")
late = {name for name in sys.modules.keys() - before if name.startswith("matplotlib")}
assert not late, late
drawing.prepare()
assert threading.active_count() == 1, "all is there"
"""


def test_what_draws_is_there_once_it_was_prepared() -> None:
    """Half a second of a backfill went by after the wait for the vendor, and not beside it."""
    subprocess.run([sys.executable, "-c", PREPARED], check=True, timeout=60)
