"""cluster.yaml and deploy/cluster-local.yaml are what Ray's cluster launcher accepts, and as closed as they say."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.local.config import get_state_path
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from jobs import job_facts

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster.yaml"
TEXT = CLUSTER.read_text()


def google_cloud() -> dict[str, Any]:
    """Return the file as it is once its Google Cloud block is put in place."""
    block = TEXT.split("# --8<-- google cloud\n")[1].split("# --8<--")[0]
    return yaml.safe_load(TEXT) | yaml.safe_load(re.sub("^# ?", "", block, flags=re.MULTILINE))


CONFIGS = {"aws": yaml.safe_load(TEXT), "gcp": google_cloud()}
LOCAL_TEXT = (ROOT / "deploy/cluster-local.yaml").read_text()
LOCAL = yaml.safe_load(LOCAL_TEXT)


def check(config: dict[str, Any]) -> None:
    """Check a cluster file as Ray does, then as its comments promise."""
    validate_config(prepare_config(copy.deepcopy(config)))
    if config["provider"]["type"] != "local":
        check_node_types(config)
    check_authentication(config)
    commands = all_commands(config)
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True, capture_output=True)
    assert any("dist/gangen-*.whl" in command for command in config["setup_commands"]), (
        "gangen is not installed"
    )


def check_node_types(config: dict[str, Any]) -> None:
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}, "tasks would run on the head"
    assert not is_spot(head), "a head on spot takes the cluster with it"
    gpus = [node for node in types.values() if node["resources"].get("GPU")]
    assert [(node["min_workers"], node["max_workers"]) for node in gpus] == [(0, 2)], "no GPU worker"
    assert any(is_spot(node) and node["min_workers"] == 0 for node in types.values() if node not in gpus), (
        "no spot"
    )
    for node in types.values():
        assert (job_facts.SPOT.items() <= node.get("labels", {}).items()) == is_spot(node), (
            "drivers take a spot node for one that stays"
        )
    assert config["max_workers"] == sum(node["max_workers"] for node in types.values()), "a type cannot grow"


def is_spot(node: dict[str, Any]) -> bool:
    config = node["node_config"]
    return config.get("InstanceMarketOptions", {}).get("MarketType") == "spot" or any(
        rule.get("preemptible") for rule in config.get("scheduling", [])
    )


def check_authentication(config: dict[str, Any]) -> None:
    assert config["file_mounts"].get("~/.ray/auth_token") == "~/.ray/auth_token", "the nodes have no token"
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        (command,) = (command for command in config[name] if "ray start" in command)
        assert command.startswith("export RAY_AUTH_MODE=token;"), "Ray starts without a token"
        options = ray_start_options(command)
        assert not options["head"] or options["dashboard_host"] == "127.0.0.1", (
            "the dashboard is open to the network"
        )
    for commands in setups(config):
        assert any("RAY_AUTH_MODE=token" in command for command in commands), "shells do not send the token"


def ray_start_options(command: str) -> dict[str, Any]:
    """Return what `ray start` itself makes of its part of a command."""
    return start.make_context("ray start", shlex.split(command.split("ray start ")[1])).params


def setups(config: dict[str, Any]) -> list[list[str]]:
    own = [node.get("worker_setup_commands") for node in config.get("available_node_types", {}).values()]
    return [config["setup_commands"], *filter(None, own)]


def all_commands(config: dict[str, Any]) -> list[str]:
    lists = [value for name, value in config.items() if name.endswith("_commands")] + setups(config)
    return [command for commands in lists for command in commands]


@pytest.mark.parametrize("cloud", CONFIGS)
def test_ray_accepts_the_file_and_it_keeps_its_promises(cloud):
    check(CONFIGS[cloud])


def test_ray_accepts_the_file_for_machines_that_are_there_and_it_keeps_its_promises(monkeypatch):
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    check(LOCAL)
    prepared = prepare_config(copy.deepcopy(LOCAL))
    (node,) = prepared["available_node_types"].values()
    machines = len(LOCAL["provider"]["worker_ips"])
    assert (node["min_workers"], node["max_workers"]) == (machines, machines), "a machine is left out"
    state = get_state_path(LOCAL["cluster_name"])
    assert LOCAL["file_mounts"].get(state) == state, "the head does not know that it is there"


SPOT = {"MarketType": "spot"}
MODE = "export RAY_AUTH_MODE=token; ray start"


def change(path: str, value: object) -> Any:
    def apply(config: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            config = config[name]
        if value is None:
            del config[last]
        else:
            config[last] = value

    return apply


BROKEN = {
    "an unknown key": (change("worker_nodez", {}), "worker_nodez"),
    "no provider": (change("provider", None), "provider"),
    "a node type without resources": (change("available_node_types.head.resources", None), "resources"),
    "half a CPU": (change("available_node_types.head.resources", {"CPU": 0.5}), "not of type 'integer'"),
    "a command that is no text": (change("setup_commands", [{"run": "pip"}]), "not of type 'string'"),
    "a command with a syntax error": (change("head_setup_commands", ["echo 'unfinished"]), "bash"),
    "a head of no known type": (change("head_node_type", "boss"), "head_node_type"),
    "tasks on the head": (change("available_node_types.head.resources", {"CPU": 4}), "run on the head"),
    "a head on spot": (
        change("available_node_types.head.node_config.InstanceMarketOptions", SPOT),
        "head on spot",
    ),
    "no GPU": (change("available_node_types.gpu_training.resources", {"CPU": 8}), "no GPU worker"),
    "no spot": (
        change("available_node_types.cpu_generation.node_config.InstanceMarketOptions", None),
        "no spot",
    ),
    "no label on spot": (change("available_node_types.cpu_generation.labels", None), "drivers take a spot"),
    "a label of two words": (
        change("available_node_types.cpu_generation.labels", {"ray.io/market-type": ["spot"]}),
        "not of type 'string'",
    ),
    "too few workers": (change("max_workers", 3), "cannot grow"),
    "no token": (change("file_mounts", {}), "no token"),
    "no token mode": (
        change("worker_start_ray_commands", ["ray start --address=head:6379"]),
        "without a token",
    ),
    "no token mode in shells": (
        change("available_node_types.gpu_training.worker_setup_commands", ["true"]),
        "do not send the token",
    ),
    "an open dashboard": (
        change("head_start_ray_commands", [f"{MODE} --head --dashboard-host=::"]),
        "is open",
    ),
    "a flag Ray lacks": (change("head_start_ray_commands", [f"{MODE} --head --dash-host=::1"]), "dash-host"),
    "no gangen": (
        change("setup_commands", ["echo 'export RAY_AUTH_MODE=token' >> ~/.bashrc"]),
        "not installed",
    ),
}


LOCAL_BROKEN = {
    "no head": (change("provider.head_ip", None), "head_ip"),
    "node types of its own": (
        change("available_node_types", {"x": {"resources": {}}}),
        "available_node_types",
    ),
    "an unknown key": (change("worker_nodez", {}), "worker_nodez"),
    "no token": (change("file_mounts", {}), "no token"),
    "an open dashboard": (
        change("head_start_ray_commands", [f"{MODE} --head --dashboard-host=0.0.0.0"]),
        "is open",
    ),
    "no token mode": (change("worker_start_ray_commands", ["ray start --address=x:1"]), "without a token"),
}


@pytest.mark.parametrize("fault", LOCAL_BROKEN)
def test_a_broken_local_file_is_noticed_for_what_is_broken(fault, capsys):
    breaks, words = LOCAL_BROKEN[fault]
    config = copy.deepcopy(LOCAL)
    breaks(config)
    with pytest.raises(Exception) as caught:  # What Ray's launcher says it prints, and raises another.
        check(config)
    assert words in str(caught.value) + "".join(capsys.readouterr())


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_noticed_for_what_is_broken(fault):
    breaks, words = BROKEN[fault]
    config = copy.deepcopy(CONFIGS["aws"])
    breaks(config)
    with pytest.raises(Exception, match=words):
        check(config)


def test_the_nodes_run_the_ray_and_a_python_that_gangen_is_locked_to():
    lock = (ROOT / "requirements.lock").read_text()
    ray = re.search(r"^ray(?:\[[^]]*\])?==(\S+)", lock, re.MULTILINE)
    images = re.findall(r"rayproject/ray:(\S+)-py(\d)(\d+)-[cg]pu", TEXT)
    assert ray
    assert {version for version, _, _ in images} == {ray[1]}
    assert {(major, minor) for _, major, minor in images} <= {("3", "11"), ("3", "12"), ("3", "13")}


@pytest.mark.parametrize(
    ("config", "text"), [(CONFIGS["aws"], TEXT), (LOCAL, LOCAL_TEXT)], ids=["aws", "local"]
)
def test_what_is_mounted_from_this_folder_is_made_or_kept_here(config, text):
    local = {path for path in config["file_mounts"].values() if not path.startswith(("~", "/tmp/ray/"))}
    assert local == {"dist/", "requirements.lock"}
    assert (ROOT / "requirements.lock").is_file()
    assert "pip wheel --no-deps -w dist ." in text


@pytest.mark.parametrize("text", [TEXT, LOCAL_TEXT], ids=["aws", "local"])
def test_the_commands_in_the_comments_use_options_gangen_has(text):
    from typer.testing import CliRunner

    from jobs.cli import app

    used = re.findall(r"^#   gangen (\w+) (.*)$", text, re.MULTILINE)
    assert [command for command, _ in used] == ["train", "generate"]
    for command, rest in used:
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        assert set(re.findall(r"--[a-z-]+", rest)) <= set(re.findall(r"--[a-z-]+", shown))
