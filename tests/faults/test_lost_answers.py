"""A store that did what it was asked and whose answer is lost: nobody can tell, so nothing may be taken back or written twice."""

from __future__ import annotations

import os

import pytest
from deltalake import DeltaTable
from yarl import URL

from tests.faults.tcp_proxy import Fault, running_between
from tests.resources.lake_rows import MON, TUE, frame, put, stored
from weathervane_resources.lake import Lake, LakeError

CONNECTIONS = 40
"""More than two commits make: the table's and the ledger's."""


@pytest.mark.parametrize(
    ("times", "each"), [(1, 20), *(pytest.param(times, 1, marks=pytest.mark.faults) for times in (1, 3))]
)
def test_an_answer_that_is_lost_anywhere_in_a_commit_leaves_one_version(
    bucket: str, monkeypatch: pytest.MonkeyPatch, times: int, each: int
) -> None:
    """The commit was there, the writer was told that it failed, and its files were deleted from under the table."""
    endpoint, said, lost = os.environ["AWS_ENDPOINT_URL"], list[str](), 0
    for spared in range(0, CONNECTIONS, each):
        lake = Lake(f"{bucket}/{spared}")
        old, new = (frame((MON, "a", n), (MON, "b", n), (TUE, "c", n)) for n in ("1", "2"))
        put(lake, old, [MON, TUE])
        with running_between(Fault("reset", 0, times, spared), URL(endpoint).port or 0) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            try:
                put(lake, new, [MON, TUE])
                said.append("done")
            except LakeError as error:
                said.append(str(error))
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        lost += proxy.hits
        rows = stored(lake)
        numbers = rows["amount"].unique().to_list()
        assert numbers in ([1], [2]), f"answer {spared} lost"
        assert rows.height == 3
        assert said[-1] != "done" or numbers == [2]
        put(lake, new, [MON, TUE])
        assert stored(lake)["amount"].to_list() == [2, 2, 2]
        assert lake.ledger("acme", "orders")["row_count"].to_list() == [2, 1]
        assert DeltaTable(lake.uri("acme", "orders")).version() <= 3
        if proxy.seen <= spared:
            break
    failed = [one for one in said if one != "done"]
    print(f"{len(said)} places, {lost} answers lost, {len(failed)} writes that said so")  # noqa: T201 - the figures are what one runs it for
    assert lost >= min(10, len(said) - 1)
    assert [one for one in failed if "run it again" not in one] == []
