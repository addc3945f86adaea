"""The image, compose and the instance of deploy/: each is read by what will read it, as far as that goes without an engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.workspace.load import location_origins_from_yaml_paths

from tests.deploy.files import COMPOSE, DEPLOY, DOCKERFILE, HELM, ROOT, SERVICES, lines_of, postgres_config
from tests.engines import Databases
from weathervane_assets.event_log import BATCH_SIZE, BATCH_SIZE_VARIABLE
from weathervane_assets.graph import NODES
from weathervane_assets.run_queue import TenantRunCoordinator, vendor_tags
from weathervane_resources.environment import CREDENTIALS, INSTALLATION

OURS = ("webserver", "daemon", "code", "database-schema")


def packages(lock: Path) -> dict[str, str]:
    """Return the version of each package of a lock."""
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", lock.read_text(), re.MULTILINE))


def tool(name: str) -> str:
    """Return a program of this environment; the test is skipped where there is none."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed")


def test_the_dockerfile_is_clean() -> None:
    """A pipe without pipefail, a cache left in a layer, a missing `--no-cache-dir`."""
    done = subprocess.run(
        [tool("hadolint"), "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_runs_as_nobody_of_importance_and_says_how_it_is() -> None:
    """A container that runs as root owns the host with the first hole; one without a health check is up when it hangs."""
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert re.search(r"^CMD \[", final, re.MULTILINE)
    assert "ENTRYPOINT" not in final, "the chart and compose.yaml give whole commands"
    assert final.index("USER") > final.index("install --directory")
    assert 'VOLUME ["/tmp", "/opt/dagster/dagster_home/storage"]' in final


def test_the_image_stores_events_in_batches() -> None:
    """On PostgreSQL one by one took 1.4 times as long for a year's days."""
    assert f"    {BATCH_SIZE_VARIABLE}={BATCH_SIZE} " in DOCKERFILE.rpartition("\nFROM ")[2]


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    """The build failed on the day of the release, at a folder that had been renamed."""
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source
    assert ignored[1] == "*"


def test_what_the_wheel_packs_is_copied_into_the_build() -> None:
    """`workspace.yaml` came into the wheel and not into the build stage, where hatchling then found nothing to pack."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    build_stage = DOCKERFILE.rpartition("\nFROM ")[0]
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", build_stage, re.MULTILINE)).split()
    assert {*wheel["force-include"], *wheel["packages"]} <= set(copied)


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_the_images_locks_are_whole_hashed_and_those_of_the_tests(name: str) -> None:
    """The image had another polars than the one that the tests had seen."""
    lock = DEPLOY / name
    found, tested = packages(lock), packages(ROOT / "requirements.lock")
    assert found
    assert {package: tested.get(package) for package in found} == found
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", lock.read_text())) >= len(found)
    assert not re.search(r"https?://|--(?:extra-)?index-url|--find-links", lock.read_text())


def test_the_image_has_what_it_needs_and_nothing_of_the_developers() -> None:
    """An extra was added to pyproject.toml, and the image failed to start for want of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = set(packages(DEPLOY / "requirements.lock"))

    def names(needed: list[str]) -> set[str]:
        return {re.split(r"[\[<>=;~! ]", one)[0] for one in needed}

    assert names(project["dependencies"]) | names(extras["postgres"]) | names(extras["kubernetes"]) <= found
    assert not (names(extras["dev"]) - {"editables"}) & found


def test_compose_follows_the_specification() -> None:
    """A misspelt key is no error for YAML, and the health check was not there."""
    compose_spec = pytest.importorskip("compose_spec")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    plain = yaml.safe_load(text)
    names = compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain)).service_names()
    assert sorted(names) == sorted(SERVICES)
    plain["services"]["code"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain))


def test_compose_is_read_by_docker(tmp_path: Path) -> None:
    """References to files, secrets, anchors and services are only looked up when it is read whole."""
    if subprocess.run([tool("docker"), "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("the docker client has no compose")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "deploy" / "secrets.example").rename(tmp_path / "deploy" / "secrets")
    command = ["docker", "compose", "--file", tmp_path / "deploy" / "compose.yaml", "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert read["webserver"]["depends_on"]["code"]["condition"] == "service_healthy"


def test_services_are_read_only_and_write_into_volumes_alone() -> None:
    """What may be written may be replaced."""
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
    for name in OURS:
        assert SERVICES[name]["user"] == "10001:10001"
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["ulimits"] == {"core": 0}
        assert any(entry.startswith("/tmp:") for entry in SERVICES[name]["tmpfs"])
    for name in ("webserver", "daemon", "code"):
        assert "run-logs:/opt/dagster/dagster_home/storage" in SERVICES[name]["volumes"], name


def test_a_tenants_file_that_an_editor_replaced_is_read() -> None:
    """A mounted file stays the one that it was: `paused = true` was saved as a new file, and the nights went on."""
    (path,) = re.findall(r"WEATHERVANE_TENANTS=(\S+)", DOCKERFILE)
    (mounted,) = [entry for entry in SERVICES["code"]["volumes"] if entry.startswith("./")]
    assert mounted == f"./tenants:{Path(path).parent}:ro"
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    (mount,) = [one for one in code["volumeMounts"] if one["name"] == "tenants"]
    assert mount["mountPath"] == str(Path(path).parent)
    assert "subPath" not in mount, "it is never brought up to date"
    assert Path(path).name == "tenants.toml"


def test_only_the_proxy_can_be_reached_and_it_asks_who_you_are() -> None:
    """The webserver takes changes from whoever reaches its port."""
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["proxy"]
    caddy = (DEPLOY / "Caddyfile").read_text()
    assert caddy.index("basic_auth") < caddy.index("reverse_proxy webserver:3000")
    assert "header_up" not in caddy, "the webserver's guard looks at the Host that the browser sent"
    assert SERVICES["webserver"]["command"][:3] == ["python", "-m", "weathervane_assets.webserver"]
    (site,) = {
        line for line in lines_of(DEPLOY / "secrets.example" / "proxy.env") if line.startswith("WEATHERVANE_SITE")
    }
    shown = f"WEATHERVANE_UI_URL=https://{site.partition('=')[2]}"
    assert shown in lines_of(DEPLOY / "secrets.example" / "dagster.env"), "the guard answers to no other name"
    assert HELM["ingress"]["enabled"] is False
    assert HELM["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def test_secrets_are_named_and_never_written_down() -> None:
    """A password in compose.yaml is in every clone."""
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            assert (
                not re.search("PASSWORD|SECRET|KEY|TOKEN|USER$", variable)
                or variable.endswith("_FILE")
                or (name == "postgres" and variable == "POSTGRES_USER")
            ), (name, variable)
        for file in service.get("env_file", []):
            assert (DEPLOY / "secrets.example" / Path(file).name).exists()
    for secret in COMPOSE["secrets"].values():
        assert (DEPLOY / "secrets.example" / Path(secret["file"]).name).exists()
    assert "secrets/weathervane.env" not in str({name: SERVICES[name] for name in SERVICES if name != "code"})
    assert {"deploy/secrets/", "deploy/tenants/"} <= set((ROOT / ".gitignore").read_text().split())
    values = [line.partition("=")[2] for file in (DEPLOY / "secrets.example").iterdir() for line in lines_of(file)]
    assert not [value for value in values if re.fullmatch(r"[A-Za-z0-9_=-]{25,}", value)]


def test_the_examples_set_variables_that_exist() -> None:
    """A name in an example that nothing reads is set for years."""
    ours = {variable.name for variable in INSTALLATION} | set(CREDENTIALS)
    set_there = {line.partition("=")[0] for line in lines_of(DEPLOY / "secrets.example" / "weathervane.env")}
    assert {name for name in set_there if not name.startswith("AWS_")} <= ours
    deployment = HELM["dagster-user-deployments"]["deployments"][0]
    wanted = {variable["env"] for variable in postgres_config().values() if isinstance(variable, dict)}
    assert set(deployment["env"]) <= ours | wanted
    assert {line.partition("=")[0] for line in lines_of(DEPLOY / "secrets.example" / "dagster.env")} == {
        *wanted,
        "WEATHERVANE_LOG_FORMAT",
        "WEATHERVANE_UI_URL",
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def instance(home: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of deploy/dagster.yaml on a real PostgreSQL."""
    url = databases.named("deployed")
    user, password, host, port, name = re.fullmatch(r"postgresql://(.+):(.*)@(.+):(\d+)/(.+)", url).groups()  # type: ignore[union-attr]
    values = {"HOST": host, "USERNAME": user, "PASSWORD": password, "DB": name}
    for key, value in values.items():
        monkeypatch.setenv(f"DAGSTER_PG_{key}", value)
    text = (home / "dagster.yaml").read_text()
    assert "port: 5432" in text
    (home / "dagster.yaml").write_text(text.replace("port: 5432", f"port: {port}"))
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


def test_the_instance_keeps_its_runs_in_postgresql_and_queues_by_tenant_and_vendor(
    instance: dg.DagsterInstance,
) -> None:
    """The driver that SQLAlchemy takes by itself fails at the first event, hours after the start."""
    assert type(instance.run_storage).__module__.startswith("dagster_postgres")
    assert dg.materialize([one], instance=instance).success
    assert instance.get_latest_materialization_event(dg.AssetKey("one"))
    assert isinstance(instance.run_coordinator, TenantRunCoordinator)
    queue = instance.run_coordinator.get_run_queue_config()
    limits = {limit["key"]: limit["limit"] for limit in queue.tag_concurrency_limits}
    assert limits["weathervane/tenant"] == 1
    assert {key for key in limits if key in vendor_tags(node.source for node in NODES.values())} == set(
        vendor_tags(node.source for node in NODES.values())
    )
    assert all(limit < queue.max_concurrent_runs for limit in limits.values())


@dg.asset
def one() -> int:
    """An asset."""
    return 1


def test_stuck_runs_end_and_ticks_go(instance: dg.DagsterInstance) -> None:
    """A run whose process is gone kept its tenant's slot, and the tenant had no night any more."""
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 4 * 3600
    assert instance.run_monitoring_start_timeout_seconds == instance.run_monitoring_cancel_timeout_seconds == 300
    kept = instance.get_tick_retention_settings(InstigatorType.SENSOR)
    days = {status.value: days for status, days in kept.items() if days > 0}
    assert days == {"SKIPPED": 2, "FAILURE": 30, "SUCCESS": 30}


def test_the_workspace_leads_to_the_code_server() -> None:
    """Another port or name, and the UI is empty without an error."""
    (origin,) = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "weathervane")
    assert origin.host in SERVICES
    assert '"--port", "4000"' in DOCKERFILE
    for name in ("webserver", "daemon"):
        assert SERVICES[name]["command"][-2:] == ["--workspace", "workspace.yaml"]
