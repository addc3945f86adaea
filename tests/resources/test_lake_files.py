"""Files beside the tables, in a folder and in a bucket alike; and what of a store's error may be said."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest
from aiohttp import web

from tests.serving import serving
from weathervane_checks.reports import write_report
from weathervane_resources.lake import Lake, LakeError
from weathervane_resources.lake_files import LakeFiles


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> LakeFiles:
    return LakeFiles(str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("bucket"))


def test_a_file_is_read_listed_and_deleted_by_its_path_below_the_root(files: LakeFiles) -> None:
    """`acme` must never name what belongs to `acme-2`."""
    for path in ("_reports/acme/a.json", "_reports/acme-2/a.json", "acme/orders/x"):
        files.write(path, path)
    files.write("acme/orders/x", "new")
    assert files.paths() == ["_reports/acme-2/a.json", "_reports/acme/a.json", "acme/orders/x"]
    assert files.paths("_reports/acme") == ["_reports/acme/a.json"]
    assert files.read("acme/orders/x") == b"new"
    assert files.read("acme/orders/none") is None
    assert [files.delete("_reports/acme"), files.delete("_reports/acme"), files.delete("none")] == [1, 0, 0]
    assert files.paths() == ["_reports/acme-2/a.json", "acme/orders/x"]


@pytest.mark.parametrize("below", ["", "/", ".", "..", "a/../.."])
def test_a_folder_that_is_not_named_is_not_deleted(files: LakeFiles, below: str) -> None:
    """An empty tenant id would have meant the whole lake."""
    files.write("acme/x", "kept")
    with pytest.raises(LakeError, match="names no folder"):
        files.delete(below)
    assert files.read("acme/x") == b"kept"


def test_a_report_is_written_into_a_bucket_too(bucket: str, tmp_path: Path) -> None:
    """The dashboards of a deployment on S3 stayed empty: reports were written into folders only."""
    where = write_report(Lake(bucket), "geocoding.json", {"tenant_id": "acme", "ratio": 0.9})
    assert where == f"{bucket}/_reports/acme/geocoding.json"
    assert json.loads(LakeFiles(bucket).read("_reports/acme/geocoding.json") or b"") == {
        "tenant_id": "acme",
        "ratio": 0.9,
    }
    assert list(tmp_path.iterdir()) == []


def test_a_usable_bucket_is_left_as_it_was(bucket: str) -> None:
    """The probe is a file of its own each time, and is gone afterwards."""
    Lake(bucket).check_usable()
    assert LakeFiles(bucket).paths() == []


def test_of_many_that_make_the_same_file_one_succeeds(bucket: str) -> None:
    """What Delta's commits stand on, of the store that the other tests use."""

    def make(key: int) -> bool:
        try:
            obstore.put(LakeFiles(bucket)._bucket(), str(key), b"", mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, [n // 8 for n in range(80)]))
    assert [sum(made[n : n + 8]) for n in range(0, 80, 8)] == [1] * 10


def test_a_store_that_ignores_conditions_is_refused(monkeypatch: pytest.MonkeyPatch, s3: None) -> None:
    """Two writers on such a store overwrite each other's commits, and no error ever says so."""

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        # a delete is answered as S3 does, several at once
        body = "<DeleteResult><Deleted><Key>any</Key></Deleted></DeleteResult>"
        return web.Response(text=body if request.method == "POST" else "", headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", accept)
    with serving(app) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(LakeError, match="ignores conditional writes"):
            Lake("s3://any/lake").check_usable()


def test_what_a_store_answers_is_not_repeated(monkeypatch: pytest.MonkeyPatch, s3: None) -> None:
    """S3 quotes the access key and the signed request in its error; a log is no place for either."""

    async def refuse(request: web.Request) -> web.Response:
        text = f"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>{request.headers['Authorization']}</AWSAccessKeyId></Error>"
        return web.Response(status=403, text=text, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    with serving(app) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        lake, said = Lake("s3://any/lake"), []
        for use in (lake.check_usable, lambda: lake.version("acme", "orders"), lambda: lake.files.paths("acme")):
            with pytest.raises(LakeError, match="403 Forbidden") as raised:
                use()
            said.append(str(raised.value))
    assert all(
        "\n" not in text and "PLANTED" not in text and "AWS4" not in text and "\x1b" not in text for text in said
    )
