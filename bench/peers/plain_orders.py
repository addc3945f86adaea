"""Orders to a Delta table with requests and pandas, one page after another: `plain_orders.py URL FOLDER FROM TO`."""

import sys

import pandas as pd
import requests
from deltalake import write_deltalake


def main(url: str, folder: str, first: str, last: str) -> None:
    """Read all pages, flatten, write."""
    params = {"status": "any", "limit": 250, "created_at_min": first, "created_at_max": last}
    session, rows, page = requests.Session(), [], f"{url}/orders.json"
    session.headers["X-Shopify-Access-Token"] = "stub"
    while page:
        answer = session.get(page, params=params, timeout=60)
        answer.raise_for_status()
        rows += answer.json()["orders"]
        page, params = answer.links.get("next", {}).get("url"), None
    frame = pd.json_normalize(rows)
    frame["line_item_count"] = frame.pop("line_items").str.len()
    lists = [name for name in frame if frame[name].map(lambda value: isinstance(value, list)).any()]
    frame = frame.drop(columns=lists).dropna(axis="columns", how="all")
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
    write_deltalake(f"{folder}/orders", frame, mode="overwrite")


if __name__ == "__main__":
    main(*sys.argv[1:])
