"""Extension, status and export of data sets, without a network: noise stands for digits."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ganmodel.errors import ClusterError, CommitConflict, DamageFound, DataError, Interrupted, SpecError
from ganmodel.weights import file_sha256
from jobs.card import SplitFacts
from jobs.cli_options import run_options
from jobs.dataset_commands import run_export, run_status, run_verify
from jobs.dataset_spec import WHOLE
from jobs.export import export, exported_spec
from jobs.finish import split_facts
from jobs.manifest import FileRecord, ShardRecord, read_manifest, to_json
from jobs.plan import Plan
from jobs.plan_files import MANIFEST_FILE, PLAN_FILE, commit_name, latest_spec, manifest_name, write_plan
from jobs.requests_generate import generate_spec, parse_splits
from jobs.run_notes import RunFigures, read_notes, write_notes
from jobs.specs import GenerateSpec, Placement
from jobs.status import status
from jobs.storage import PENDING, open_storage
from jobs.verify import finished_manifest, verify
from tests.unit.fake_digits import dataset_spec, make_dataset, make_shards, with_labels

SPLITS = (("train", 750_000), ("test", 250_000))


def files(out: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that an extension may not touch."""
    told_anew = ("README.md", "dataset_info.json", "metadata.json")
    return {
        str(path.relative_to(out)): file_sha256(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in told_anew
    }


def shas(manifest):
    return {file.name: file.sha256 for shard in manifest.shards for file in shard.files.values()}


# --- extension and splits


def test_an_extension_adds_rows_and_leaves_every_file_as_it_was(tmp_path):
    small = make_dataset(tmp_path / "out", count=4000, splits=SPLITS, formats=("idx", "parquet", "tfrecord"))
    before = files(tmp_path / "out")
    big = {"count": 8500, "extended_at": (4000,)}
    large = make_dataset(tmp_path / "out", splits=SPLITS, formats=("idx", "parquet", "tfrecord"), **big)
    after = files(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert large.shards[: len(small.shards)] == small.shards
    at_once = make_dataset(tmp_path / "at-once", count=8500)
    assert (large.rows_digest, large.label_counts) == (at_once.rows_digest, at_once.label_counts)
    assert Plan(large.spec).split_rows() == {"train": 6000, "test": 2500}
    assert (tmp_path / "out" / manifest_name(1)).name == "manifest-001.json"
    index = pq.read_table(tmp_path / "out/data", columns=["index"])["index"].to_numpy()
    assert (np.sort(index) == np.arange(8500)).all()
    info = json.loads((tmp_path / "out/tfds/gangen_noise/1.0.0/dataset_info.json").read_text())
    assert [(s["name"], s["shardLengths"]) for s in info["splits"]] == [
        ("train", ["2000", "1000", "2000", "1000"]),
        ("test", ["1000", "1500"]),
    ]
    assert "num_examples: 6000" in (tmp_path / "out/README.md").read_text()
    assert verify(open_storage(str(tmp_path / "out")), large, full=True).faults == []


def test_an_extension_that_was_cut_off_leaves_the_old_data_set_whole_for_readers(tmp_path):
    make_dataset(tmp_path, count=2000, shard_rows=1000)
    before = files(tmp_path)
    grown = dataset_spec(count=5000, shard_rows=1000, extended_at=(2000,))
    make_shards(grown, tmp_path, skip=[4])
    assert read_manifest(open_storage(str(tmp_path))).num_rows == 2000
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "train-00000.parquet",
        "train-00001.parquet",
    ]
    facts = status(open_storage(str(tmp_path)))
    assert (facts["status"], facts["rows_done"], facts["rows"]) == ("unfinished", 4000, 5000)
    assert facts["next"].endswith("--extend")
    with pytest.raises(CommitConflict, match=r"count: 5000 there, 6000 asked"):
        make_shards(dataset_spec(count=6000, shard_rows=1000, extended_at=(2000,)), tmp_path)
    make_dataset(tmp_path, count=5000, shard_rows=1000, extended_at=(2000,))
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before


def test_a_given_up_extension_does_not_open_a_finished_data_set_to_another_plan(tmp_path):
    made = make_dataset(tmp_path, count=2000, shard_rows=1000)
    make_shards(dataset_spec(count=5000, shard_rows=1000, extended_at=(2000,)), tmp_path, skip=range(5))
    before = files(tmp_path)
    for other in ({"count": 3000, "seed": 1}, {"count": 3000}, {"count": 6000, "extended_at": (3000,)}):
        spec = dataset_spec(shard_rows=1000, **other)
        with pytest.raises(CommitConflict, match="holds another data set"):
            make_shards(spec, tmp_path)
    with pytest.raises(CommitConflict, match=r"holds another data set \(seed: 0 there, 1 asked\)"):
        read_manifest(open_storage(str(tmp_path)), Plan(dataset_spec(count=2000, shard_rows=1000, seed=1)))
    assert files(tmp_path) == before
    make_shards(made.spec, tmp_path)
    make_dataset(tmp_path, count=3000, shard_rows=1000, extended_at=(2000,))
    with pytest.raises(CommitConflict, match=r"\(extended_at: 2000 there, none asked\).*or add --extend"):
        make_shards(dataset_spec(count=3000, shard_rows=1000), tmp_path)


def test_what_a_given_up_plan_left_is_in_no_other_data_set(tmp_path):
    """Its labels, and a shard that was published and never committed."""
    out, labels = tmp_path / "out", tmp_path / "labels.txt"
    for label, left in (("3", "data/train-00004.parquet"), ("5", "data/train-00001.parquet")):
        labels.write_text(f"{label}\n" * 2000)
        spec = with_labels(dataset_spec(count=2000, shard_rows=1000, formats=("parquet",)), labels)
        make_shards(spec, out, labels_file=labels, skip=range(2))
        leave_pending(out, left)
    labels.write_text("7\n" * 2000)
    made = make_dataset(out, labels_file=labels, count=2000, shard_rows=1000, formats=("parquet",))
    assert made.label_counts == {7: 2000}
    labels.write_text("7\n" * 2000 + "8\n" * 3000)
    spec = with_labels(
        dataset_spec(count=5000, shard_rows=1000, formats=("parquet",), extended_at=(2000,)), labels
    )
    make_shards(spec, out, labels_file=labels, skip=range(5))
    leave_pending(out, "data/train-00004.parquet")
    labels.write_text("7\n" * 2000 + "9\n" * 1000)
    changes = {"count": 3000, "shard_rows": 1000, "formats": ("parquet",), "extended_at": (2000,)}
    made = make_dataset(out, labels_file=labels, **changes)
    assert made.label_counts == {7: 2000, 9: 1000}
    assert verify(open_storage(str(out)), made, full=True).faults == []


def leave_pending(out, name):
    path = out / PENDING / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")


def test_what_is_not_finished_is_not_extended(tmp_path):
    make_shards(dataset_spec(count=2000, shard_rows=1000), tmp_path, skip=[1])
    with pytest.raises(CommitConflict, match="its 2,000 rows are not finished"):
        make_shards(dataset_spec(count=3000, shard_rows=1000, extended_at=(2000,)), tmp_path)


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("train=0.9,test=0.1", (("train", 900_000), ("test", 100_000))),
        ("a=1", (("a", 10**6),)),
        (" a = 60000 , b=10000", (("a", 857_143), ("b", 142_857))),
        ("a=1,b=1,c=1", (("a", 333_333), ("b", 333_334), ("c", 333_333))),
    ],
)
def test_shares_of_splits_are_whole_millionths(text, splits):
    assert parse_splits(text) == splits
    assert parse_splits(",".join(f"{name}={share}" for name, share in splits)) == splits


def test_splits_are_whole_blocks_and_every_split_has_rows():
    assert Plan(dataset_spec(count=2500, splits=SPLITS)).split_rows() == {"train": 2000, "test": 500}
    with pytest.raises(SpecError, match="'train' would have no rows of 500"):
        Plan(dataset_spec(count=500, splits=SPLITS))


def test_split_facts_are_those_of_the_files(tmp_path):
    manifest = make_dataset(tmp_path, splits=SPLITS, count=4000)
    facts = split_facts(manifest)
    assert facts["test"] == SplitFacts(
        num_rows=1000,
        shard_rows=[1000],
        size_bytes={
            "parquet": (tmp_path / "data/test-00000.parquet").stat().st_size,
            "tfrecord": (tmp_path / "tfds/gangen_noise/1.0.0/gangen_noise-test.tfrecord-00000")
            .stat()
            .st_size,
        },
    )


# --- what was typed


def typed(out: Path, **changes):
    words = {
        "count": "4000", "out": str(out), "model": "pretrained", "formats": "parquet", "shard_rows": "1000",
        "labels": "balanced", "seed": 0, "truncation": 1.0, "precision": "float32", "image_encoding": "png",
        "splits": None, "extend": False, "repair": False, "placement": Placement(),
    }  # fmt: skip
    return generate_spec(**words | changes)


def begin(spec: GenerateSpec) -> None:
    storage = open_storage(spec.out)
    storage.prepare()
    write_plan(storage, Plan(spec.dataset))
    write_notes(storage, spec)


def test_extend_takes_the_plan_that_is_there_and_refuses_any_other(tmp_path):
    begin(typed(tmp_path))
    grown = typed(tmp_path, count="6500", extend=True, shard_rows=None).dataset
    assert (grown.count, grown.extended_at, grown.shard_rows) == (6500, (4000,), 1000)
    assert typed(tmp_path, extend=True).dataset == typed(tmp_path).dataset
    with pytest.raises(
        CommitConflict, match=r"--extend: the data set in .* is another \(seed: 0 there, 1 asked\)"
    ):
        typed(tmp_path, count="6500", extend=True, seed=1)
    with pytest.raises(SpecError, match=r"--count: must be above the 4,000 rows of .*, got 3,000"):
        typed(tmp_path, count="3000", extend=True)
    begin(typed(tmp_path, count="6500", extend=True))
    assert typed(tmp_path, count="6500", extend=True).dataset == grown
    with pytest.raises(SpecError, match="has 6,500 rows; only a data set of whole blocks of 1,000 can grow"):
        typed(tmp_path, count="7000", extend=True)


def test_labels_of_a_file_grow_with_it(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("3\n" * 4000)
    begin(typed(tmp_path / "out", labels=f"file:{path}"))
    with pytest.raises(SpecError, match=r"has 4,000 labels, --count asks for 5,000"):
        typed(tmp_path / "out", labels=f"file:{path}", count="5000", extend=True)
    path.write_text("3\n" * 4000 + "4\n" * 1000)
    grown = typed(tmp_path / "out", labels=f"file:{path}", count="5000", extend=True)
    assert Plan(grown.dataset).expected_counts() == {3: 4000, 4: 1000}
    assert grown.labels_file == str(path)
    path.write_text("5\n" * 5000)
    with pytest.raises(CommitConflict, match="label_parts"):
        typed(tmp_path / "out", labels=f"file:{path}", count="5000", extend=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": "0=0.1,3=0.7", "seed": 7, "truncation": 0.35, "image_encoding": "raw"},
        {"precision": "bfloat16"},
        {"splits": "train=60000,test=10000", "formats": "idx,webdataset", "count": "14000"},
    ],
)
def test_the_command_that_status_names_asks_for_the_very_same_plan(tmp_path, changes):
    out = tmp_path / "a folder"
    begin(typed(out, **changes))
    for count in (None, "20000"):
        if count:
            begin(typed(out, **changes | {"count": count, "extend": True}))
        words = shlex.split(status(open_storage(str(out)))["next"])
        assert words[:2] == ["gangen", "generate"]
        options, keys = words[2:], {"--format": "formats"}
        again = {"extend": "--extend" in options}
        for key, value in pairwise(options):
            if key.startswith("--") and key not in ("--extend", "--out"):
                again[keys.get(key, key[2:].replace("-", "_"))] = value
        again["seed"], again["truncation"] = int(again["seed"]), float(again.get("truncation", 1))
        assert typed(out, **again).dataset == latest_spec(open_storage(str(out)))


# --- status


def test_status_tells_what_is_missing_and_why(tmp_path):
    spec = dataset_spec(count=5000, shard_rows=1000)
    make_shards(spec, tmp_path, skip=[1, 3])
    storage = open_storage(str(tmp_path))
    job = GenerateSpec(dataset=spec, model="/models/mine", out=str(tmp_path))
    write_notes(storage, job, {3: "ValueError: bad"})
    (tmp_path / ".gangen/pending/data/train-00002.parquet").write_bytes(b"")
    facts = status(storage)
    assert (facts["status"], facts["rows_done"], facts["shards_done"]) == ("unfinished", 2000, 2)
    assert [(entry["shard"], entry["why"]) for entry in facts["missing"]] == [
        (2, "its record does not fit its files"),
        (3, "the last run left it aside: ValueError: bad"),
        (1, "not made yet"),
    ]
    assert facts["rows_per_core_s"] > 0
    assert "--model MODEL" in facts["next"]
    assert read_notes(storage).model == "/models/mine"


def test_status_of_a_finished_data_set_and_of_one_that_lost_files(tmp_path, capsys):
    make_dataset(tmp_path)
    facts = status(open_storage(str(tmp_path)))
    assert (facts["status"], facts["missing"], facts["rows_done"]) == ("finished", [], 5000)
    assert facts["next"] == f"gangen verify {tmp_path}"
    (tmp_path / "data/train-00001.parquet").unlink()
    run_status(str(tmp_path), run_options(None, False, False, False))
    text = capsys.readouterr().out
    assert text.startswith(f"damaged: {tmp_path}\n  rows      3,000 of 5,000\n")
    assert "shard 1 (rows 2,000 and on): its files are gone or cut" in text
    assert text.rstrip().endswith("--repair")


def test_status_of_nothing_is_one_line(tmp_path):
    with pytest.raises(DataError, match=f"^{tmp_path}: holds no data set"):
        run_status(str(tmp_path), run_options(None, False, False, True))
    (tmp_path / ".gangen").mkdir()
    (tmp_path / PLAN_FILE).write_text("{")
    with pytest.raises(DataError, match=f"^{tmp_path}: .gangen/plan.json cannot be read"):
        run_status(str(tmp_path), run_options(None, False, False, True))


def test_status_of_ten_thousand_shards_takes_seconds(tmp_path):
    spec = dataset_spec(count=10**7, shard_rows=1000, formats=("parquet",))
    plan, storage = Plan(spec), open_storage(str(tmp_path))
    storage.prepare()
    write_plan(storage, plan)
    (tmp_path / ".gangen/pending/data").mkdir(parents=True)
    for task in plan.tasks():
        if task.index == 5000:
            continue
        ((name,),) = [plan.file_names(task).values()]
        (tmp_path / ".gangen/pending" / name).write_bytes(b"x")
        record = ShardRecord(
            recipe_digest=plan.recipe_digest(0), index=task.index, first_row=task.first_row, num_rows=1000,
            files={"parquet": FileRecord(name=name, size_bytes=1, sha256="0" * 64)}, rows_digest="0" * 64,
            label_counts=dict.fromkeys(range(10), 100), device={"device": "CPU"}, seconds={"sample": 0.1},
        )  # fmt: skip
        (tmp_path / commit_name(task.index)).write_text(to_json(record))
    began = time.process_time()
    facts = status(storage)
    assert time.process_time() - began < 5
    assert (facts["shards_done"], facts["missing"][0]["shard"]) == (9999, 5000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_a_billion_rows_are_planned_in_seconds_and_little_memory(tmp_path):
    script = (
        "import pathlib, re, sys, time\nbegan = time.process_time()\n"
        "sys.argv[1:] = ['generate', '--count', '1e9', '--dry-run', '--splits', 'train=0.9,test=0.1']\n"
        "from jobs import cli\ntry: cli.main()\nexcept SystemExit as stop: assert not stop.code\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]\n"
        "print(time.process_time() - began, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    seconds, kilobytes = map(float, done.stdout.splitlines()[-1].split())
    assert seconds < 2
    assert kilobytes < 200_000


# --- export


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_an_export_is_what_generating_in_that_format_would_have_written(tmp_path, encoding):
    (tmp_path / "labels.npy").write_bytes(b"")
    np.save(tmp_path / "labels.npy", np.arange(5500) % 7)
    shape = {"count": 5500, "splits": SPLITS, "shard_rows": 2000, "labels_file": tmp_path / "labels.npy"}
    make_dataset(tmp_path / "from", formats=("parquet",), image_encoding=encoding, **shape)
    wanted = make_dataset(
        tmp_path / "wanted", formats=("idx", "tfrecord", "webdataset"), image_encoding=encoding, **shape
    )
    out = tmp_path / "out"
    for _ in range(2):  # The second time there is nothing to do.
        run_export(
            str(tmp_path / "from"),
            formats="tfrecord,webdataset,idx",
            out=str(out),
            image_encoding=None,
            as_json=True,
        )
    made = read_manifest(open_storage(str(out)))
    assert shas(made) == shas(wanted)
    assert made.rows_digest == wanted.rows_digest
    assert made.plan_digest == wanted.plan_digest
    assert verify(open_storage(str(out)), made, full=True).faults == []
    assert not (out / "data").exists()


def test_an_export_of_idx_gives_back_the_parquet_it_came_from(tmp_path):
    first = make_dataset(tmp_path / "a", formats=("parquet",))
    for source, formats in (("a", "idx"), ("idx", "parquet")):
        run_export(
            str(tmp_path / source),
            formats=formats,
            out=str(tmp_path / formats),
            image_encoding=None,
            as_json=True,
        )
    assert shas(read_manifest(open_storage(str(tmp_path / "parquet")))) == shas(first)


def test_an_export_that_was_cut_off_does_what_is_missing(tmp_path):
    manifest = make_dataset(tmp_path / "a", extended_at=(3000,), shard_rows=1000)
    source, target = open_storage(str(tmp_path / "a")), open_storage(str(tmp_path / "b"))
    spec = exported_spec(manifest.spec, ["webdataset"], None)

    def stop(done):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(source, manifest, target, spec, stop)
    assert status(target)["shards_done"] == 2
    assert status(target)["next"] == (
        f"gangen export {tmp_path}/a --to webdataset --out {tmp_path}/b --image-encoding png"
    )
    assert not (tmp_path / "b/webdataset").exists()
    assert export(source, manifest, target, spec)[1] == len(manifest.shards) - 2
    assert finished_manifest(target).num_rows == 5000
    assert verify(target, finished_manifest(target), full=True).faults == []


def test_an_export_with_every_shard_there_and_no_manifest_is_finished_and_says_so(tmp_path, capsys):
    make_dataset(tmp_path / "a")
    out = tmp_path / "b"

    def again():
        run_export(str(tmp_path / "a"), formats="idx", out=str(out), image_encoding=None, as_json=False)
        return capsys.readouterr().out

    assert again().startswith(f"exported 5,000 digits to {out}\n")
    assert again().startswith(f"nothing to do: all 5,000 digits are in {out}\n")
    (out / MANIFEST_FILE).unlink()
    assert again().startswith(f"exported 5,000 digits to {out}\n")
    (out / "idx/00000/train-images-idx3-ubyte").unlink()
    with pytest.raises(CommitConflict, match=rf"1 of 6 files .*; `gangen verify {out}` says what mends it$"):
        again()


def test_a_damaged_source_and_a_taken_place_are_refused_in_one_line(tmp_path, capsys):
    make_dataset(tmp_path / "a")
    with pytest.raises(SpecError, match="is the data set itself"):
        run_export(
            str(tmp_path / "a"), formats="idx", out=str(tmp_path / "a"), image_encoding=None, as_json=True
        )
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x").write_text("")
    with pytest.raises(CommitConflict, match="holds files that are not gangen's"):
        run_export(
            str(tmp_path / "a"), formats="idx", out=str(tmp_path / "b"), image_encoding=None, as_json=True
        )
    (tmp_path / "a/data/train-00001.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"train-00001.parquet is not what was committed; `gangen verify"):
        run_export(
            str(tmp_path / "a"), formats="idx", out=str(tmp_path / "c"), image_encoding=None, as_json=True
        )
    assert capsys.readouterr().out == ""


def test_lost_or_changed_labels_are_not_exported(tmp_path):
    np.save(tmp_path / "labels.npy", np.arange(5000) % 7)
    manifest = make_dataset(tmp_path / "a", labels_file=tmp_path / "labels.npy")
    source, target = open_storage(str(tmp_path / "a")), open_storage(str(tmp_path / "b"))
    spec, labels = exported_spec(manifest.spec, ["idx"], None), tmp_path / "a/.gangen/labels-000.u1"
    labels.write_bytes(b"\1" * 5000)
    with pytest.raises(DataError, match=r"a: .gangen/labels-000.u1 is not what the plan names; restore it"):
        export(source, manifest, target, spec)
    labels.unlink()
    with pytest.raises(DataError, match=r"labels-000.u1 is not there"):
        export(source, manifest, target, spec)
    assert not (tmp_path / "b").exists()


def test_what_an_export_cannot_read_is_said_of_the_source(tmp_path):
    manifest = make_dataset(tmp_path / "a", formats=("parquet",))
    source, target = open_storage(str(tmp_path / "a")), open_storage(str(tmp_path / "b"))
    spec = exported_spec(manifest.spec, ["idx"], None)

    @contextmanager
    def refuse(name):
        yield Path(refused(name))

    def refused(name):
        raise PermissionError(errno.EACCES, "Permission denied", name)

    source.local_copy = refuse
    with pytest.raises(DataError, match=r"^data/train-00000.parquet: cannot be read \(Permission denied\)$"):
        export(source, manifest, target, spec)


def test_an_export_sees_first_whether_it_fits(tmp_path):
    manifest = make_dataset(tmp_path / "a", formats=("parquet",))
    source, target = open_storage(str(tmp_path / "a")), open_storage(str(tmp_path / "b"))
    spec = exported_spec(manifest.spec, ["idx"], None)
    target.free_bytes = lambda: 1000
    with pytest.raises(SpecError, match=r"GB are free; choose another folder, or fewer formats$"):
        export(source, manifest, target, spec)
    target.max_file_bytes = 1_000_000
    with pytest.raises(SpecError, match=r"^--to: a shard of 2,000 rows gives idx files of about 0.0 GB"):
        export(source, manifest, target, spec)
    assert not (tmp_path / "b").exists()


def test_an_export_that_is_stopped_says_that_the_same_command_continues(tmp_path, monkeypatch):
    make_dataset(tmp_path / "a", formats=("parquet",))
    monkeypatch.setattr("jobs.export.ShardMaker.make", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(Interrupted, match="the same command does the rest"):
            run_export(
                str(tmp_path / "a"), formats="idx", out=str(tmp_path / "b"), image_encoding=None, as_json=True
            )
    finally:
        signal.signal(signal.SIGTERM, before)


# --- verify, as a command


def test_verify_prints_what_it_found_and_ends_with_its_own_exit_code(tmp_path, capsys):
    make_dataset(tmp_path)
    run_verify(str(tmp_path), full=True, fraction=None, model=None, as_json=True)
    assert json.loads(capsys.readouterr().out)["status"] == "good"
    (tmp_path / "data/train-00001.parquet").unlink()
    with pytest.raises(
        DamageFound, match=r"1 fault \(first: missing: data/train-00001.parquet, shard 1"
    ) as caught:
        run_verify(str(tmp_path), full=False, fraction=None, model=None, as_json=False)
    assert caught.value.exit_code == 7
    text = capsys.readouterr().out
    assert "  missing: data/train-00001.parquet, shard 1, rows 2,000 to 3,999: is not there\n" in text
    assert text.rstrip().endswith("--repair")
    with pytest.raises(SpecError, match="--regenerate: the model of digest abababababab is not where it was"):
        run_verify(str(tmp_path), full=False, fraction=0.5, model=None, as_json=False)
    with pytest.raises(SpecError, match="--model pretrained: has digest"):
        run_verify(str(tmp_path), full=False, fraction=0.5, model="pretrained", as_json=False)
    with pytest.raises(SpecError, match="--regenerate: must be above 0 and at most 1"):
        run_verify(str(tmp_path), full=False, fraction=2.0, model=None, as_json=False)
    with pytest.raises(SpecError, match="--model: is of use with --regenerate alone"):
        run_verify(str(tmp_path), full=False, fraction=None, model="x", as_json=False)


def test_a_manifest_that_cannot_be_read_is_a_fault_like_any_other(tmp_path, capsys):
    make_dataset(tmp_path)
    (tmp_path / MANIFEST_FILE).write_text("{")
    for as_json in (True, False):
        with pytest.raises(DamageFound, match=r"1 fault \(first: manifest: .gangen/manifest.json: cannot be"):
            run_verify(str(tmp_path), full=True, fraction=0.5, model=None, as_json=as_json)
    said, text = capsys.readouterr().out.split("}\n", 1)
    facts = json.loads(said + "}")
    assert (facts["status"], facts["shards"], facts["faults"][0]["kind"]) == ("damaged", 0, "manifest")
    assert facts["next"] == f"restore {tmp_path}/{MANIFEST_FILE}"
    assert text.startswith(f"damaged: {tmp_path} (rows unknown) has 1 fault\n  manifest: ")
    assert "  checked   the manifest alone, in " in text
    assert text.endswith(f"next: restore {tmp_path}/{MANIFEST_FILE}\n")


def test_status_of_a_data_set_whose_manifest_cannot_be_read_says_so(tmp_path, capsys):
    make_dataset(tmp_path)
    (tmp_path / MANIFEST_FILE).write_text("{")
    run_status(str(tmp_path), run_options(None, False, False, False))
    text = capsys.readouterr().out
    assert text.startswith(f"damaged: {tmp_path}\n  rows      5,000 of 5,000\n")
    assert f"\n  manifest  {MANIFEST_FILE} cannot be read\n" in text
    assert text.endswith(f"next: restore {tmp_path}/{MANIFEST_FILE}\n")


def test_the_default_is_one_split_called_train():
    assert dataset_spec().splits == WHOLE == (("train", 10**6),)
    assert manifest_name(0) == MANIFEST_FILE


def test_a_cluster_that_is_gone_is_no_matter_for_storage_unless_it_was_asked_for(
    tmp_path, capsys, monkeypatch
):
    make_dataset(tmp_path, count=2000)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", gone)
    run_status(str(tmp_path), run_options(None, False, False, True))
    shown = capsys.readouterr()
    assert json.loads(shown.out)["job"] is None
    assert (
        f"note: the cluster of the environment was not asked (no Ray cluster answers at {gone}" in shown.err
    )
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        run_status(str(tmp_path), run_options(gone, False, False, True))


def test_status_tells_what_the_last_run_did_and_lost(tmp_path, capsys):
    make_dataset(tmp_path, count=2000)
    storage = open_storage(str(tmp_path))
    job = GenerateSpec(dataset=latest_spec(storage), model="noise", out=str(tmp_path))
    figures = RunFigures(
        rows=2000, seconds=2.0, rows_per_s=1000.0, stage_seconds={"sample": 3.0, "encode": 1.0}
    )
    write_notes(storage, job, losses={"worker lost": 2, "node lost": 1}, figures=figures)
    run_status(str(tmp_path), run_options(None, False, False, False))
    shown = capsys.readouterr().out
    assert "  last run  2,000 rows at 1,000 rows/s; sample 75%, encode 25%\n" in shown
    assert "  lost      2 workers lost, 1 node lost\n" in shown
