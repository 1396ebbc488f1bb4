"""`gangen generate` on a head and three workers, submitted from a host that has only the client, while hosts fail."""

from __future__ import annotations

import time

from hosts import PROGRAMS, TOKEN, wait_until
from scenes import DRAWS, NUM_SHARDS, RUN_S

BLINK_S = 4.0
"""A cut that is over before Ray gives a node up."""


def test_nothing_happens(scene, undisturbed, is_as_on_one_machine):
    is_as_on_one_machine(undisturbed.out)
    told = undisturbed.text()
    assert f"the Ray token goes unencrypted to {scene.hosts.address}" in told
    assert TOKEN not in told
    assert TOKEN not in (undisturbed.out / ".gangen" / "manifest.json").read_text()
    assert not scene.hosts.client.pids("raylet"), "the client is a node"


def test_a_worker_process_is_killed(scene, is_as_on_one_machine, lost):
    run = scene.generate()
    run.reach(0.2)
    victim = scene.drawing()[0]
    victim.kill_process(victim.pids(DRAWS)[0])
    assert run.end() == 0, run.text()
    assert "a worker was lost" in run.text()
    is_as_on_one_machine(scene.out)
    lost(run)


def test_a_host_is_killed(scene, is_as_on_one_machine, lost):
    run = scene.generate()
    run.reach(0.2)
    scene.far_from_the_driver().kill()
    assert run.end() == 0, run.text()
    assert "a worker was lost" in run.text()
    is_as_on_one_machine(scene.out)
    lost(run)


def test_a_host_is_cut_off_for_a_moment(scene, is_as_on_one_machine, lost):
    run = scene.generate()
    run.reach(0.2)
    host = scene.far_from_the_driver()
    host.cut_off()
    time.sleep(BLINK_S)
    host.bring_back()
    assert run.end() == 0, run.text()
    is_as_on_one_machine(scene.out)
    lost(run, cut_off_s=BLINK_S, was_given_up="a worker was lost" in run.text())


def test_a_host_is_cut_off_until_it_is_given_up_and_comes_back(scene, is_as_on_one_machine, lost):
    run = scene.generate()
    run.reach(0.2)
    host = scene.far_from_the_driver()
    host.cut_off()
    began = time.monotonic()
    wait_until(lambda: host.address not in scene.hosts.alive(), RUN_S, "Ray gives the host up")
    given_up_s = time.monotonic() - began
    host.bring_back()
    wait_until(lambda: not host.has_ray, RUN_S, "the raylet that was given up ends")
    scene.hosts.mend()
    assert run.end() == 0, run.text()
    is_as_on_one_machine(scene.out)
    lost(run, given_up_after_s=round(given_up_s))


def test_a_host_is_added(scene, is_as_on_one_machine, lost):
    for host in scene.hosts.workers[1:]:
        host.kill()
    alone = {scene.hosts.head.address, scene.hosts.workers[0].address}
    wait_until(lambda: scene.hosts.alive() == alone, RUN_S, "one worker is left")
    run = scene.generate()
    run.reach(0.05)
    (alone,) = scene.drawing()
    held = [str(pid) for pid in alone.pids(DRAWS)]
    alone.run("kill", "-STOP", *held, check=True)  # Or it might be done before the new host is up.
    began = time.monotonic()
    host = scene.hosts.add_worker()
    wait_until(lambda: host.pids(DRAWS), RUN_S, "the fan-out grows to the new host")
    drew_after_s = round(time.monotonic() - began)
    alone.run("kill", "-CONT", *held, check=True)
    assert run.end() == 0, run.text()
    is_as_on_one_machine(scene.out)
    lost(run, the_new_host_drew_after_s=drew_after_s)


def test_the_head_is_killed_and_the_same_command_on_a_new_cluster_does_the_rest(
    scene, is_as_on_one_machine, lost
):
    run = scene.generate()
    run.reach(0.2)
    scene.hosts.head.kill()
    assert run.end() == 6, run.text()
    (last,) = [line for line in run.text().splitlines() if line.startswith("error: ")]
    assert last.startswith(f"error: no Ray cluster answers at {scene.hosts.address}")
    assert "Traceback" not in run.text()
    began, kept = time.monotonic(), run.num_committed()
    assert 0 < kept < NUM_SHARDS
    scene.hosts.mend()
    new_cluster_s = time.monotonic() - began
    again = scene.generate()
    assert again.end() == 0, again.text()
    assert f"resuming: {kept} of {NUM_SHARDS} shards are committed" in again.text()
    is_as_on_one_machine(scene.out)
    lost(run, again, the_first_ended_after_s=round(run.seconds), new_cluster_s=round(new_cluster_s))


def test_a_cluster_that_others_fill_is_one_line_and_the_job_goes_on_when_they_are_gone(
    scene, is_as_on_one_machine
):
    ray = [str(PROGRAMS / "ray"), "job"]
    where = {"RAY_API_SERVER_ADDRESS": scene.hosts.address, "RAY_AUTH_MODE": "token"}
    others = [f"somebodys-{number}" for number in range(len(scene.hosts.workers))]
    for job in others:
        submit = [*ray, "submit", "--no-wait", "--entrypoint-num-cpus=1", f"--submission-id={job}"]
        scene.hosts.client.run(*submit, "--", "sleep", "3600", check=True, **where)
    run = scene.generate()
    wait_until(lambda: "no worker yet" in run.text(), RUN_S, "the line that says that there is no room")
    assert run.process.poll() is None
    assert run.num_committed() == 0
    for job in others:
        scene.hosts.client.run(*ray, "stop", job, check=True, **where)
    assert run.end() == 0, run.text()
    assert "Traceback" not in run.text()
    is_as_on_one_machine(scene.out)


def test_a_token_that_is_wrong_or_missing_and_a_head_nobody_is_at_are_one_line_each(scene):
    client, out = scene.hosts.client, str(scene.out)
    command = ["generate", "--count", "1000", "--out", out, "--address"]
    wrong = client.home / "wrong"
    wrong.write_text("a-token-of-another-cluster-0123456789\n")
    nobody = f"http://{scene.hosts.head.address}:8266"
    nowhere = "http://10.77.0.250:8265"
    cases = {
        "refused the token from RAY_AUTH_TOKEN_PATH": (
            {"RAY_AUTH_TOKEN_PATH": str(wrong)},
            scene.hosts.address,
        ),
        "asks for a token and none was found": ({"HOME": str(client.folder)}, scene.hosts.address),
        f"no Ray cluster answers at {nobody}": ({}, nobody),
        f"no Ray cluster answers at {nowhere}": ({}, nowhere),
    }
    for words, (variables, address) in cases.items():
        refused = client.gangen(*command, address, **variables)
        *_, last = refused.stderr.splitlines()
        assert (refused.returncode, refused.stdout) == (6, ""), refused.stderr
        assert last.startswith("error: ")
        assert words in last
        assert "Traceback" not in refused.stderr
        assert "a-token-of-" not in refused.stderr
    assert not scene.out.exists()


def test_a_folder_that_only_the_cluster_sees_is_one_line(scene):
    client = scene.hosts.client
    scene.out.mkdir()
    client.run("mount", "-t", "tmpfs", "private", str(scene.out), check=True)
    out = str(scene.out / "digits")
    unseen = client.gangen("generate", "--count", "1000", "--out", out, "--address", scene.hosts.address)
    client.run("umount", str(scene.out), check=True)
    assert (unseen.returncode, unseen.stdout) == (6, ""), unseen.stderr
    assert unseen.stderr.splitlines()[-1] == (
        f"error: the job succeeded, but {out} cannot be seen from here; look for it on the cluster's own disks"
    )
    assert (scene.out / "digits" / ".gangen" / "manifest.json").is_file()
