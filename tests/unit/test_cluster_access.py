"""Which cluster a job goes to, which token opens it, and what may travel: all that needs no cluster."""

from __future__ import annotations

import base64
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganmodel.errors import ClusterError, SpecError
from jobs.addresses import check_address, resolve_address
from jobs.local import local_ray, surrounding_ray
from jobs.preflight import versions_here
from jobs.ray_token import find_token, is_exposed
from jobs.remote import NOISE, JobRequest
from jobs.specs import Placement
from jobs.submit import RunOptions
from jobs.upload import MAX_UPLOAD_BYTES, announce_python, check_size, image_env, package_folders, runtime_env

DASHBOARD, OTHER = "http://127.0.0.1:8265", "http://10.0.0.1:8265"


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        (None, {}, None),
        (None, {"RAY_ADDRESS": ""}, None),
        (None, {"RAY_ADDRESS": DASHBOARD}, DASHBOARD),
        (None, {"RAY_ADDRESS": OTHER, "RAY_API_SERVER_ADDRESS": DASHBOARD}, DASHBOARD),
        (DASHBOARD, {"RAY_ADDRESS": OTHER, "RAY_API_SERVER_ADDRESS": OTHER}, DASHBOARD),
        ("local", {"RAY_ADDRESS": OTHER}, None),
        (None, {"RAY_ADDRESS": "local"}, None),
    ],
)
def test_the_option_wins_then_rays_variables_then_a_local_ray(option, environ, expected):
    assert resolve_address(option, environ) == expected


@pytest.mark.parametrize(
    "address", [DASHBOARD, "https://ray.example.com", "http://[::1]:8265", "http://head/ray/"]
)
def test_the_url_of_a_dashboard_is_accepted(address):
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "auto",
            "127.0.0.1:6379",
            "head:8265",
            "http://",
            "http://head:99999",
            "http://head:0",
            "ftp://head",
        ),
        *("ray://head:10001", "http://me:secret@head:8265", "http://head:8265/?token=secret", "http://[::1"),
    ],
)
def test_anything_else_is_one_line_that_names_the_flag_and_shows_a_good_one(address):
    with pytest.raises(SpecError, match=r"--address: needs the URL.*http://127\.0\.0\.1:8265") as caught:
        check_address(address)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://me:hunter2@head:8265", "http://head:8265/?token=hunter2", "http://hunter2@head"]
)
def test_a_secret_in_an_address_is_not_repeated(address):
    with pytest.raises(SpecError) as caught:
        check_address(address)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from-home\n")
    (tmp_path / "file").write_text("  from-file \n")
    return tmp_path


def test_a_token_is_found_in_rays_order(home):
    environ = {"HOME": str(home)}
    assert find_token(environ).text == "from-home"
    environ["RAY_AUTH_TOKEN_PATH"] = str(home / "file")
    assert find_token(environ).text == "from-file"
    environ["RAY_AUTH_TOKEN"] = "from-variable"
    assert find_token(environ).text == "from-variable"
    assert find_token(environ | {"RAY_AUTH_MODE": "disabled"}) is None


@pytest.mark.parametrize("environ", [{}, {"HOME": "/nonexistent"}, {"RAY_AUTH_TOKEN": ""}])
def test_no_token_is_no_error_unless_the_mode_asks_for_one(environ):
    assert find_token(environ) is None
    with pytest.raises(ClusterError, match="RAY_AUTH_MODE=token is set and no token was found"):
        find_token(environ | {"RAY_AUTH_MODE": "token"})


def test_a_token_file_that_was_named_and_cannot_be_read_is_not_passed_over(home):
    (home / "empty").write_text("\n")
    (home / "binary").write_bytes(b"\xff\xfe")
    for name, reason in {
        "missing": "No such file",
        "empty": "is empty",
        "binary": "no text",
        ".": "directory",
    }.items():
        with pytest.raises(ClusterError, match=f"^RAY_AUTH_TOKEN_PATH: .*{reason}"):
            find_token({"HOME": str(home), "RAY_AUTH_TOKEN_PATH": str(home / name)})


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "caf\u00e9"])
def test_a_token_no_header_can_carry_is_refused_without_showing_it(token):
    with pytest.raises(ClusterError, match="the token from RAY_AUTH_TOKEN holds") as caught:
        find_token({"RAY_AUTH_TOKEN": token})
    assert token not in str(caught.value)


def test_a_token_is_not_in_its_own_repr(home):
    assert "from-home" not in repr(find_token({"HOME": str(home)}))


@pytest.mark.parametrize(
    ("address", "exposed"),
    [
        (DASHBOARD, False),
        ("http://localhost:8265", False),
        ("http://[::1]:8265", False),
        ("http://127.8.9.1", False),
        ("https://ray.example.com", False),
        (OTHER, True),
        ("http://localhost.example.com:8265", True),
    ],
)
def test_only_plain_http_over_a_network_exposes_a_token(address, exposed):
    assert is_exposed(address) is exposed


def test_what_travels_is_the_two_packages_and_is_far_below_rays_limit():
    folders = package_folders()
    assert [folder.name for folder in folders] == ["jobs", "ganmodel"]
    check_size(folders)
    assert MAX_UPLOAD_BYTES <= 100 * 2**20 // 3
    assert not re.search("token", str(runtime_env()), re.IGNORECASE)


def test_where_a_store_is_travels_and_what_opens_it_does_not(monkeypatch):
    secret = "an-obvious-secret-0123456789"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.1:9000")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:{secret}@10.0.0.1:9000")
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCOUNT_KEY",
    ):
        monkeypatch.setenv(name, secret)
    variables = runtime_env()["env_vars"]
    assert variables["AWS_ENDPOINT_URL"] == "http://10.0.0.1:9000"
    assert variables["AWS_REGION"] == "eu-central-1"
    assert secret not in str(variables)


def test_a_package_too_large_to_travel_is_refused_before_the_upload(tmp_path):
    (tmp_path / "weights").write_bytes(bytes(3 * 2**20))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "code.pyc").write_bytes(bytes(3 * 2**20))
    check_size([tmp_path], 3 * 2**20)
    with pytest.raises(ClusterError, match=r"is 3\.0 MiB and at most 2\.0 MiB travel"):
        check_size([tmp_path], 2 * 2**20)


def test_the_entrypoint_hands_the_spec_on_whatever_is_in_it_and_prefers_the_announced_python(tmp_path):
    spec = '{"out": "/a b/$HOME; \'x\' \\" \u00fc"}'
    (tmp_path / "echo.py").write_text("import sys; print(sys.flags.safe_path, *sys.argv[1:])")
    request = JobRequest(kind="train", spec_json=spec, submission_id="x", entrypoint_module="echo")
    environ = {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path), "GANGEN_PYTHON": sys.executable}
    ran = subprocess.run(
        ["/bin/sh", "-c", request.entrypoint()], env=environ, capture_output=True, text=True, check=True
    )
    safe_path, kind, encoded, versions = ran.stdout.split()
    assert (safe_path, kind) == ("True", "train")
    assert base64.urlsafe_b64decode(encoded).decode() == spec
    assert json.loads(base64.urlsafe_b64decode(versions)) == versions_here()


def test_without_an_announcement_the_entrypoint_takes_the_python_on_the_path(tmp_path):
    (tmp_path / "echo.py").write_text("import os; print(os.getcwd())")
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    request = JobRequest(kind="train", spec_json="{}", submission_id="x", entrypoint_module="echo")
    environ = {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        ["/bin/sh", "-c", request.entrypoint()], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "/\n", "the folder Ray was started in may hold another package called jobs"


def run_in_image(module: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a job's command where `python3` sees the modules in `path` and nothing of ours."""
    (path / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    (path / "python3").chmod(0o755)
    request = JobRequest(
        kind="train", spec_json="{}", submission_id="x", entrypoint_module=module, image_has_gangen=True
    )
    environ = {"PATH": str(path), "PYTHONPATH": str(path)}
    return subprocess.run(
        ["/bin/sh", "-c", request.entrypoint()], env=environ, capture_output=True, text=True, check=False
    )


def test_where_the_image_has_gangen_its_own_runs_and_no_code_travels(tmp_path):
    (tmp_path / "echo.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1])")
    ran = run_in_image("echo", tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "/ train\n", "")
    assert set(image_env()) == {"env_vars"}
    hook = set(runtime_env()["env_vars"]) - set(image_env()["env_vars"])
    assert all("HOOK" in name for name in hook), "a hook of a package the image may lack"


@pytest.mark.parametrize("module", ["echo", "echo.entrypoint"])
def test_an_image_without_gangen_is_one_line_that_says_what_to_do(module, tmp_path):
    ran = run_in_image(module, tmp_path)
    assert (ran.returncode, ran.stdout) == (6, "")
    assert ran.stderr.startswith("error: the python3 of this cluster has no gangen; ")
    assert ran.stderr.count("\n") == 1
    assert "leave out --image-has-gangen" in ran.stderr


def test_a_worker_announces_its_python(monkeypatch):
    monkeypatch.delenv("GANGEN_PYTHON", raising=False)
    announce_python()
    import os

    assert Path(os.environ["GANGEN_PYTHON"]) == Path(sys.executable)


def test_rays_preamble_is_dropped_and_nothing_else():
    log = (
        "2026-01-02 03:04:05,678\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
        "Running entrypoint for job gangen-1: exec python e30=\n"
        "Running on 3 workers\n\nRuntime env is fine\n"
    )
    assert NOISE.sub("", log) == "Running on 3 workers\n\nRuntime env is fine\n"


@pytest.mark.parametrize("kind", ["ConnectionError", "AuthenticationError"])
def test_where_no_cluster_is_around_or_it_refuses_us_is_one_line(kind, monkeypatch):
    import ray
    from ray.exceptions import AuthenticationError

    error = {"ConnectionError": ConnectionError, "AuthenticationError": AuthenticationError}[kind]

    def refuse(**_):
        raise error("no running Ray instance\nand much more")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr("jobs.local._reach_head", lambda: None)
    with (
        pytest.raises(ClusterError, match=r"^--address auto: no Ray cluster around .*no running") as caught,
        surrounding_ray(),
    ):
        pytest.fail("connected to nothing")
    assert "\n" not in str(caught.value)


def test_a_head_that_is_gone_is_one_line_before_ray_tries_for_minutes(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", gone)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"nothing answers at .*, where its head was") as caught:
        surrounding_ray().__enter__()
    assert time.monotonic() - began < 15
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "environ", "surrounded"),
    [
        ("auto", {}, True),
        (None, {"RAY_ADDRESS": "auto"}, True),
        ("auto", {"RAY_ADDRESS": "10.0.0.1:6379"}, True),
        ("local", {"RAY_ADDRESS": "auto"}, False),
        (None, {}, False),
    ],
)
def test_auto_is_the_cluster_around_and_nothing_to_submit_to(address, environ, surrounded):
    options = RunOptions(address=address, environ=environ, no_wait=False, dry_run=False, as_json=False)
    assert options.cluster() is None
    assert options.is_surrounded() is surrounded
    assert (options.ray() is surrounding_ray) is surrounded


def test_the_address_that_ray_gives_a_job_is_refused_with_the_word_that_works():
    environ = {"RAY_ADDRESS": "10.0.0.1:6379"}
    options = RunOptions(address=None, environ=environ, no_wait=False, dry_run=False, as_json=False)
    with pytest.raises(SpecError, match="--address auto works on the cluster around this process"):
        options.cluster()


def test_a_local_ray_that_does_not_start_is_told_at_each_attempt(monkeypatch, capsys):
    import ray

    def late(**_):
        raise RuntimeError("the raylet is late\nand more")

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(ClusterError, match=r"in 3 attempts \(the raylet is late\)"), local_ray(Placement())():
        pass
    said = capsys.readouterr().err.splitlines()
    assert said == [f"a local Ray did not start, attempt {n} of 3: the raylet is late" for n in (1, 2, 3)]
