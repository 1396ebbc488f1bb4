"""deploy/rayjob-*.yaml are what KubeRay accepts, and as closed and as safe to retry as their comments say.

`FIELDS` is the part of KubeRay's API reference that such files use: "KubeRay CRD API reference", ray.io/v1, release
v1.6.2 (docs/reference/api.md there). Pod templates are Kubernetes' own; `POD` has what the files use of core/v1.
"""

from __future__ import annotations

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.scripts.scripts import start
from typer.testing import CliRunner

from jobs.cli import app

ROOT = Path(__file__).parents[2]
JOBS = {
    kind: yaml.safe_load((ROOT / f"deploy/rayjob-{kind}.yaml").read_text()) for kind in ("train", "generate")
}

STRINGS = {"*": str}
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")

CONTAINER = {
    "name!": str,
    "image!": str,
    "env": [{"name!": str, "value": str}],
    "resources": {"requests": STRINGS, "limits": STRINGS},
    "volumeMounts": [{"name!": str, "mountPath!": str, "readOnly": bool}],
}
POD = {
    "metadata": {"labels": STRINGS, "annotations": STRINGS},
    "spec!": {
        "containers!": [CONTAINER],
        "nodeSelector": STRINGS,
        "tolerations": [
            {"key": str, "operator": {"Exists", "Equal"}, "value": str, "effect": {"NoSchedule"}}
        ],
        "terminationGracePeriodSeconds": int,
        "volumes": [{"name!": str, "persistentVolumeClaim": {"claimName!": str}}],
    },
}
HEAD = {
    "template!": POD,
    "headService": dict,
    "enableIngress": bool,
    "resources": STRINGS,
    "labels": STRINGS,
    "rayStartParams": STRINGS,
    "serviceType": {"ClusterIP", "NodePort", "LoadBalancer"},
}
WORKERS = {
    "groupName!": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "idleTimeoutSeconds": int,
    "resources": STRINGS,
    "labels": STRINGS,
    "rayStartParams": STRINGS,
    "template!": POD,
    "numOfHosts": int,
}
CLUSTER = {
    "authOptions": {"mode": {"disabled", "token"}, "secretName": str, "enableK8sTokenAuth": bool},
    "suspend": bool,
    "managedBy": str,
    "autoscalerOptions": {
        "resources": dict,
        "idleTimeoutSeconds": int,
        "upscalingMode": {"Default", "Aggressive", "Conservative"},
        "version": {"v1", "v2"},
    },
    "headServiceAnnotations": STRINGS,
    "enableInTreeAutoscaling": bool,
    "headGroupSpec!": HEAD,
    "rayVersion": str,
    "workerGroupSpecs": [WORKERS],
}
FIELDS = {
    "apiVersion!": {"ray.io/v1"},
    "kind!": {"RayJob"},
    "metadata!": {"name!": str, "namespace": str, "labels": STRINGS, "annotations": STRINGS},
    "spec!": {
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "rayClusterSpec": CLUSTER,
        "submitterPodTemplate": POD,
        "metadata": STRINGS,
        "clusterSelector": STRINGS,
        "submitterConfig": {"backoffLimit": int},
        "managedBy": str,
        "entrypoint": str,
        "runtimeEnvYAML": str,
        "jobId": str,
        "submissionMode": {"K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"},
        "entrypointResources": str,
        "entrypointNumCpus": float,
        "entrypointNumGpus": float,
        "ttlSecondsAfterFinished": int,
        "preRunningDeadlineSeconds": int,
        "shutdownAfterJobFinishes": bool,
        "suspend": bool,
    },
}


def check_fields(value: Any, kind: Any, place: str) -> None:
    """Check a value against a table: a type, a set of words, a list of one kind, fields (`!` is a must, `*` any)."""
    if isinstance(kind, set):
        assert value in kind, f"{place}: {value!r} is none of {sorted(kind)}"
    elif isinstance(kind, list):
        assert isinstance(value, list), f"{place}: needs a list"
        for index, item in enumerate(value):
            check_fields(item, kind[0], f"{place}[{index}]")
    elif isinstance(kind, dict):
        assert isinstance(value, dict), f"{place}: needs fields"
        known = {name.rstrip("!"): wanted for name, wanted in kind.items()}
        for name, item in value.items():
            assert name in known or "*" in known, f"{place}: no field {name}"
            check_fields(item, known.get(name, known.get("*")), f"{place}.{name}")
        missing = [name for name in kind if name.endswith("!") and name.rstrip("!") not in value]
        assert not missing, f"{place}: lacks {missing}"
    else:
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        assert fits, f"{place}: {value!r} is no {kind.__name__}"


def check(job: dict[str, Any]) -> None:
    """Check a RayJob as KubeRay does, then as its comments promise."""
    check_fields(job, FIELDS, "job")
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert cluster["authOptions"]["mode"] == "token", "Ray starts without a token"
    head = cluster["headGroupSpec"]
    assert head.get("serviceType") == "ClusterIP", "the dashboard is open to the network"
    assert not head.get("enableIngress"), "the dashboard is open to the network"
    assert head["rayStartParams"].get("num-cpus") == "0", "tasks would run on the head"
    assert not is_spot(head), "a head on spot takes the cluster with it"
    assert spec["backoffLimit"] > 0, "no retry"
    assert "jobId" not in spec, "a retry needs another id"
    assert spec["shutdownAfterJobFinishes"], "pods outlive the job"
    assert cluster["enableInTreeAutoscaling"], "no worker would come"
    for group in groups:
        check_group(group)
    environment = yaml.safe_load(spec["runtimeEnvYAML"])
    assert all(isinstance(value, str) for value in environment["env_vars"].values())


def check_group(group: dict[str, Any]) -> None:
    parameters = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
    start.make_context("ray start", parameters)  # `ray start` itself reads them.
    pod = group["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, "a mount of no volume"
        assert "/shared" in {mount["mountPath"] for mount in container["volumeMounts"]}, (
            "nothing to resume from"
        )
        sizes = container["resources"]
        assert sizes["requests"] == sizes["limits"], "Ray takes the limits for what there is"
        assert all(QUANTITY.fullmatch(size) for size in sizes["limits"].values()), "no quantity"
    assert group.get("minReplicas", 0) <= group.get("replicas", 0) <= group.get("maxReplicas", 1)


def is_spot(group: dict[str, Any]) -> bool:
    return "cloud.google.com/gke-spot" in group["template"]["spec"].get("nodeSelector", {})


@pytest.mark.parametrize("kind", JOBS)
def test_kuberay_knows_every_field_and_the_file_keeps_its_promises(kind):
    check(JOBS[kind])


def test_training_has_gpus_that_stay_and_generation_cpus_that_may_go():
    (gpu,) = JOBS["train"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert gpu["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert not is_spot(gpu)
    assert (gpu["minReplicas"], gpu["maxReplicas"]) == (0, 2)
    (cpu,) = JOBS["generate"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    limits = cpu["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert is_spot(cpu)
    words = shlex.split(JOBS["generate"]["spec"]["entrypoint"])
    workers = int(words[words.index("--workers") + 1])
    assert workers == cpu["maxReplicas"] * int(limits["cpu"]), "cores and workers differ"


@pytest.mark.parametrize("kind", JOBS)
def test_the_command_is_one_that_gangen_takes(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(JOBS[kind]["spec"]["entrypoint"].replace("--model /shared/model ", ""))
    assert words[:2] == ["gangen", kind]
    assert words[-2:] == ["--address", "auto"]
    outcome = CliRunner().invoke(app, [*words[1:], "--dry-run", "--json"])
    assert outcome.exit_code == 0, outcome.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", JOBS)
def test_the_versions_are_those_of_the_lock_and_of_the_package(kind):
    from ganmodel import __version__

    ray = re.search(r"^ray(?:\[[^]]*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert ray
    cluster = JOBS[kind]["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == ray[1]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert images == {f"REGISTRY/gangen:{__version__}" + ("-gpu" if kind == "train" else "")}


def change(path: str, value: object) -> Any:
    def apply(job: Any) -> None:
        *parents, last = (int(name) if name.isdigit() else name for name in path.split("."))
        for name in parents:
            job = job[name]
        if value is None:
            del job[last]
        else:
            job[last] = value

    return apply


POD_PATH = "spec.rayClusterSpec.workerGroupSpecs.0.template.spec"
BROKEN = {
    "a field KubeRay lacks": (change("spec.retries", 3), "job.spec: no field retries"),
    "a field of a group misspelt": (
        change("spec.rayClusterSpec.workerGroupSpecs.0.maxReplica", 3),
        "no field maxReplica",
    ),
    "a number that is text": (change("spec.backoffLimit", "4"), "'4' is no int"),
    "a mode there is not": (change("spec.submissionMode", "PodMode"), "'PodMode' is none of"),
    "a start parameter that is no text": (
        change("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        "0 is no str",
    ),
    "a group without a name": (change("spec.rayClusterSpec.workerGroupSpecs.0.groupName", None), "lacks"),
    "no token": (change("spec.rayClusterSpec.authOptions.mode", "disabled"), "without a token"),
    "a dashboard for all": (
        change("spec.rayClusterSpec.headGroupSpec.serviceType", "LoadBalancer"),
        "is open",
    ),
    "tasks on the head": (change("spec.rayClusterSpec.headGroupSpec.rayStartParams", {}), "run on the head"),
    "no retry": (change("spec.backoffLimit", 0), "no retry"),
    "one id for all retries": (change("spec.jobId", "gangen"), "needs another id"),
    "pods that stay": (change("spec.shutdownAfterJobFinishes", False), "outlive"),
    "a mount of no volume": (change(f"{POD_PATH}.volumes", []), "mount of no volume"),
    "a size that is none": (change(f"{POD_PATH}.containers.0.resources.limits.memory", "28 GB"), "limits"),
    "a flag Ray lacks": (
        change("spec.rayClusterSpec.workerGroupSpecs.0.rayStartParams", {"num-cpu": "1"}),
        "num-cpu",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_noticed_for_what_is_broken(fault):
    breaks, words = BROKEN[fault]
    job = copy.deepcopy(JOBS["generate"])
    breaks(job)
    with pytest.raises(Exception, match=re.escape(words)):
        check(job)
