"""The values for Dagster's Helm chart: each is read by what will read it, as far as that goes without a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.instance.config import dagster_instance_config_schema

from tests.deploy.files import DEPLOY, HELM, postgres_config

POD_ROLES = ("dagsterWebserver", "dagsterDaemon")
KNOWN = {
    "": {
        "global", "generatePostgresqlPasswordSecret", "postgresql", "dagsterWebserver", "ingress", "dagsterDaemon",
        "dagster-user-deployments", "runLauncher", "computeLogManager", "retention", "telemetry", "additionalInstanceConfig",
    },
    "postgresql": {
        "enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlScheme", "service",
    },
    "dagsterWebserver": {
        "replicaCount", "image", "service", "podSecurityContext", "securityContext", "volumes", "volumeMounts", "resources",
        "readinessProbe", "livenessProbe", "env",
    },
    "dagsterDaemon": {
        "enabled", "image", "heartbeatTolerance", "podSecurityContext", "securityContext", "volumes", "volumeMounts",
        "resources", "livenessProbe", "runCoordinator", "runMonitoring", "runRetries", "env",
    },
    "retention": {"enabled", "schedule", "sensor"},
    "runLauncher": {"type", "config"},
}  # fmt: skip
"""Names of the chart's values that we use; read in its schema (2026-11). The chart itself is not to be had here."""


PASSED_ON = {"resources": "resources", "volumes": "volumes", "volume_mounts": "volumeMounts"}
"""Names in a code location's context, of which its chart makes them for the pods of runs."""


@pytest.mark.parametrize("section", KNOWN)
def test_helm_sets_values_that_the_chart_has(section: str) -> None:
    """Helm takes a misspelt value without a word where the chart's schema allows others beside it."""
    assert set(HELM[section] if section else HELM) == KNOWN[section]


def test_helms_parts_are_what_dagster_and_kubernetes_read() -> None:
    """A key of a pod in the wrong place is found when the first run of the night is launched."""
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.job import UserDefinedDagsterK8sConfig
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes import client

    launcher = HELM["runLauncher"]["config"]["k8sRunLauncher"]
    run = launcher["runK8sConfig"]
    section = {
        "pod_spec_config": run["podSpecConfig"], "job_spec_config": run["jobSpecConfig"],
        "container_config": {"resources": launcher["resources"], "securityContext": launcher["securityContext"]},
    }  # fmt: skip
    assert UserDefinedDagsterK8sConfig.from_dict(section).job_spec_config == {"ttl_seconds_after_finished": 86400}
    config = {
        "service_account_name": "dagster", "instance_config_map": "dagster-instance", "dagster_home": "/opt/dagster",
        "postgres_password_secret": "s", "image_pull_policy": launcher["imagePullPolicy"], "run_k8s_config": section,
        "load_incluster_config": launcher["loadInclusterConfig"], "fail_pod_on_run_failure": launcher["failPodOnRunFailure"],
    }  # fmt: skip
    checked = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), config)
    assert checked.success, checked.errors

    def read(model: type, said: dict[str, Any]) -> Any:
        return k8s_model_from_dict(model, k8s_snake_case_dict(model, said))

    for pod in _pods():
        assert read(client.V1PodSecurityContext, pod["podSecurityContext"]).run_as_user == 10001
        assert read(client.V1SecurityContext, pod["securityContext"]).read_only_root_filesystem
        assert read(client.V1ResourceRequirements, pod["resources"]).limits["memory"]
        volumes = [read(client.V1Volume, volume).name for volume in pod["volumes"]]
        assert volumes == [read(client.V1VolumeMount, mount).name for mount in pod["volumeMounts"]]
    schema = dagster_instance_config_schema()
    assert set(HELM["additionalInstanceConfig"]) <= set(schema)


def test_a_command_in_the_code_servers_pod_can_open_the_instance() -> None:
    """The image's dagster.yaml asks for the server by variables that the pod had not, so nothing could be purged or backfilled there."""
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    server = HELM["postgresql"]
    said = {
        "hostname": server["postgresqlHost"], "username": server["postgresqlUsername"],
        "db_name": server["postgresqlDatabase"], "port": server["service"]["port"], "scheme": server["postgresqlScheme"],
    }  # fmt: skip
    by_the_chart = {"DAGSTER_PG_PASSWORD": "by the chart"}  # from global.postgresqlSecretName
    read = {
        name: (code["env"] | by_the_chart)[value["env"]] if isinstance(value, dict) else value
        for name, value in postgres_config().items()
    }
    assert read == said | {"password": "by the chart"}


def test_a_runs_pod_has_the_memory_and_the_security_that_the_launcher_says() -> None:
    """The code server's 1 GiB came before the launcher's 2: a long run was ended by the kernel."""
    from dagster_k8s.container_context import K8sContainerContext

    (code,) = HELM["dagster-user-deployments"]["deployments"]
    launcher = HELM["runLauncher"]["config"]["k8sRunLauncher"]
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    # what the chart's template k8sContainerContext passes on, and in the order of K8sContainerContext.create_for_run
    location = {name: code[key] for name, key in PASSED_ON.items()}
    instance = {"resources": launcher["resources"], "security_context": launcher["securityContext"]}
    of_the_instance, of_the_location = (
        K8sContainerContext.create_from_config({"k8s": said}) for said in (instance, location)
    )
    merged = of_the_instance.merge(of_the_location).run_k8s_config.container_config
    assert merged["resources"] == launcher["resources"] == code["resources"]
    assert merged["security_context"] == of_the_instance.run_k8s_config.container_config["security_context"]
    assert merged["volume_mounts"]


def test_pods_are_read_only_unprivileged_and_probed() -> None:
    """The chart's own defaults are root and writable."""
    for pod in _pods():
        assert pod["podSecurityContext"]["runAsNonRoot"] is True
        assert pod["podSecurityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["mountPath"] for mount in pod["volumeMounts"]} >= {"/tmp", "/opt/dagster/dagster_home/storage"}
        assert "livenessProbe" in pod
    assert HELM["runLauncher"]["config"]["k8sRunLauncher"]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "Password" not in str(HELM["postgresql"])
    assert HELM["dagster-user-deployments"]["deployments"][0]["envSecrets"] == [{"name": "weathervane-secrets"}]


def test_helm_and_compose_queue_alike() -> None:
    """The limit was raised in one place."""
    ours = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    theirs = HELM["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    assert theirs == ours["run_coordinator"]
    assert HELM["additionalInstanceConfig"]["run_monitoring"] == ours["run_monitoring"]


def _pods() -> list[dict[str, Any]]:
    return [HELM[role] for role in POD_ROLES] + HELM["dagster-user-deployments"]["deployments"]
