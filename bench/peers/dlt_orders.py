"""Orders to a Delta table with dlt's rest_api: `dlt_orders.py URL FOLDER FROM TO [columns]`. Runs in .venv-peers.

Without `columns` on dlt's defaults: nested objects are columns, lists are tables of their own. With it what a careful user
would write: the columns that `orders` has, nested values picked by hand, nothing else.
"""

import sys
from typing import Any

import dlt
from dlt.extract import DltResource
from dlt.sources.rest_api import rest_api_resources

FIELDS = (
    "id,name,created_at,updated_at,cancelled_at,test,financial_status,currency,total_price,subtotal_price,total_tax,"
    "total_discounts,current_subtotal_price,line_items,shipping_address"
)
PLACE = ("zip", "country_code", "city", "latitude", "longitude")


def picked(order: dict[str, Any]) -> dict[str, Any]:
    """Return one flat row."""
    address = order.pop("shipping_address", None) or {}
    order["line_item_count"] = len(order.pop("line_items", ()))
    return order | {f"shipping_{name}": address.get(name) for name in PLACE}


def orders(url: str, first: str, last: str, *, by_hand: bool) -> DltResource:
    """Return the resource."""
    params = {"status": "any", "limit": 250, "created_at_min": first, "created_at_max": last}
    if by_hand:
        params["fields"] = FIELDS
    config = {
        "client": {
            "base_url": url,
            "headers": {"X-Shopify-Access-Token": "stub"},
            "paginator": {"type": "header_link"},
        },
        "resources": [
            {"name": "orders", "endpoint": {"path": "orders.json", "params": params, "data_selector": "orders"}}
        ],
    }
    (resource,) = rest_api_resources(config)
    return resource.add_map(picked) if by_hand else resource


def main(url: str, folder: str, first: str, last: str, columns: str = "") -> None:
    """Run the pipeline."""
    pipeline = dlt.pipeline(
        "orders", pipelines_dir=f"{folder}/pipelines", destination=dlt.destinations.filesystem(f"file://{folder}/lake")
    )
    resource = orders(url, first, last, by_hand=bool(columns))
    pipeline.run(resource, table_format="delta", write_disposition="replace").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
