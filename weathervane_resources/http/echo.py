"""The API version that really answered: three of four vendors serve another one in silence once ours is retired."""

from collections.abc import Mapping


def version_note(vendor: str, asked: str, headers: Mapping[str, str]) -> str:
    """Return what the vendor says about the version asked for, "" where that is the one that answered.

    `headers` have lower-case names. Klaviyo needs no echo: the opt-out header makes it refuse instead.
    """
    if vendor == "shopify":
        served = headers.get("x-shopify-api-version", "")
        if asked and served and served != asked:
            return f"Shopify answered as {served}, not as {asked}: that version is retired; pin a living one"
    if vendor == "meta_ads" and (warning := headers.get("x-ad-api-version-warning", "")):
        return f"Meta about {asked or 'this version'}: {' '.join(warning.split())[:200]}"
    return ""
