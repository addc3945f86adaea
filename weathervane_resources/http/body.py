"""Read an answer's body under a size cap that also holds after decompression.

The session switches aiohttp's own decompression off: a gzip bomb must be stopped while it expands, and a gzip stream
that ends early must not pass for a short body.
"""

import zlib

import aiohttp

from weathervane_resources.http.errors import BodyTooLarge, Malformed, Where

ACCEPT_ENCODING = "gzip, deflate"
_AUTO_WBITS = 47
_CHUNK = 256 * 1024


async def read_body(response: aiohttp.ClientResponse, cap: int, where: Where) -> bytes:
    """Return the whole body, decompressed.

    Raises:
        BodyTooLarge: more than `cap` bytes, before or after decompression.
        Malformed: an unknown encoding, or a compressed stream that is damaged or ends early.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    body = await _read_raw(response, cap, where)
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Malformed(f"unknown Content-Encoding {encoding!r}", **where)
    return _inflate(body, cap, where)


async def _read_raw(response: aiohttp.ClientResponse, cap: int, where: Where) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > cap:
            raise _too_large(cap, where)
        chunks.append(chunk)
    return b"".join(chunks)


def _inflate(body: bytes, cap: int, where: Where) -> bytes:
    inflater = zlib.decompressobj(wbits=_AUTO_WBITS)
    chunks: list[bytes] = []
    size = 0
    try:
        while body and not inflater.eof:
            chunk = inflater.decompress(body, _CHUNK)
            size += len(chunk)
            if size > cap:
                raise _too_large(cap, where)
            chunks.append(chunk)
            if not chunk and not inflater.unconsumed_tail:
                break
            body = inflater.unconsumed_tail
    except zlib.error:
        raise Malformed("the compressed body is damaged", **where) from None
    if not inflater.eof or inflater.unused_data:
        raise Malformed("the compressed body was cut off", **where)
    return b"".join(chunks)


def _too_large(cap: int, where: Where) -> BodyTooLarge:
    return BodyTooLarge(
        f"the answer exceeds {cap / 2**20:.0f} MiB", hint="ask for a smaller window or page, or raise the cap", **where
    )
