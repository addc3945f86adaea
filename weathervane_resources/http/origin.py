"""Where a credential may go: scheme, host and port must be the session's own."""

from yarl import URL


def same_origin(url: str, origin: str) -> bool:
    """Return whether `url` has the scheme, host and port of `origin`; user info in `url` makes it foreign."""
    try:
        candidate, own = URL(url), URL(origin)
        return (
            candidate.raw_user is None and None not in (candidate.host, own.host) and _parts(candidate) == _parts(own)
        )
    except ValueError:
        return False


def origin_of(url: str) -> str:
    """Return `scheme://host[:port]` of `url`, for messages; empty where it has none."""
    try:
        return str(URL(url).origin())
    except ValueError:
        return ""


def _parts(url: URL) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port; a port that is written out equals the scheme's default."""
    return url.scheme, url.host, url.port
