"""The table of damages: each is done to a good data set, caught, and named with its shard and row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganmodel.errors import CommitConflict, DamageFound, DataError, ModelError, SpecError
from ganmodel.weights import file_sha256
from jobs import dataset_commands
from jobs.cli_options import run_options
from jobs.dataset_commands import run_status, run_verify
from jobs.label_store import labels_of
from jobs.manifest import read_manifest, read_records
from jobs.plan import Plan
from jobs.plan_files import MANIFEST_FILE, PLAN_FILE, commit_name
from jobs.regenerate import Regenerator, chosen_blocks
from jobs.remedy import remedy
from jobs.specs import GenerateSpec
from jobs.status import status
from jobs.storage import open_storage
from jobs.submit import _seen_from_here
from jobs.verify import finished_manifest, verify
from jobs.writers import FORMATS
from jobs.writers.encode import encode_rows
from tests.unit.fake_digits import FakeSampler, dataset_spec, make_dataset, remake

FORMATS_OF_ALL = ("idx", "parquet", "tfrecord", "webdataset")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("good") / "out"
    make_dataset(out, formats=FORMATS_OF_ALL, splits=(("train", 800_000), ("test", 200_000)), shard_rows=1000)
    return out


@pytest.fixture
def dataset(good, tmp_path) -> Path:
    return shutil.copytree(good, tmp_path / "out")


def check(out, *, full=True):
    storage = open_storage(str(out))
    return verify(storage, finished_manifest(storage), full=full)


def regenerate(out, sampler, fraction=1.0):
    storage = open_storage(str(out))
    manifest = finished_manifest(storage)
    regenerator = Regenerator(manifest, labels_of(manifest.spec, storage), sampler, "fake")
    return list(regenerator.check(storage, fraction)), regenerator.done


def flip(path: Path, at: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)


def cut(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def edit_label(path: Path, row: int) -> None:
    """Change the label of one row of a Parquet file, which stays a whole and well-formed file."""
    table = pq.read_table(path)
    labels = table["label"].to_numpy().copy()
    labels[row] = (labels[row] + 1) % 10
    table = table.set_column(1, table.schema.field("label"), pa.array(labels, pa.int64()))
    pq.write_table(table, path)


PARQUET, TFRECORD = "data/train-00002.parquet", "tfds/gangen_noise/1.0.0/gangen_noise-train.tfrecord-00002"
TAR, PIXELS = "webdataset/train-00002.tar", "idx/00002/train-images-idx3-ubyte"
LABELS = "idx/00002/train-labels-idx1-ubyte"
TEST, EXTRA = "data/test-00000.parquet", "data/train-00004.parquet"

DAMAGES = {
    # what: (what is done, kind, file, shard, row or None for any of the shard)
    "a flipped bit in a Parquet image": (lambda d: flip(d / PARQUET, 100_000), "pixels", PARQUET, 2, ...),
    "a flipped bit in a Parquet footer": (lambda d: flip(d / PARQUET, -5, 64), "changed", PARQUET, 2, None),
    "a flipped bit in a TFRecord": (lambda d: flip(d / TFRECORD, 500), "changed", TFRECORD, 2, ...),
    "a flipped bit in a tar's image": (lambda d: flip(d / TAR, 700), "pixels", TAR, 2, 2000),
    "a flipped bit in an IDX pixel": (lambda d: flip(d / PIXELS, 16 + 784 * 33 + 5), "pixels", PIXELS, 2, 2033),
    "a flipped bit in an IDX label": (lambda d: flip(d / LABELS, 8 + 44), "label", LABELS, 2, 2044),
    "a truncated Parquet file": (lambda d: cut(d / PARQUET), "truncated", PARQUET, 2, None),
    "a truncated TFRecord file": (lambda d: cut(d / TFRECORD), "truncated", TFRECORD, 2, ...),
    "a truncated tar": (lambda d: cut(d / TAR), "truncated", TAR, 2, ...),
    "a truncated IDX file": (lambda d: cut(d / PIXELS), "truncated", PIXELS, 2, None),
    "an empty file": (lambda d: (d / PARQUET).write_bytes(b""), "truncated", PARQUET, 2, None),
    "a file that grew": (lambda d: grow(d / TFRECORD), "changed", TFRECORD, 2, ...),
    "a missing file": (lambda d: (d / PARQUET).unlink(), "missing", PARQUET, 2, None),
    "two swapped shards": (lambda d: swap(d / PARQUET, d / "data/train-00003.parquet"), "swapped", PARQUET, 2, None),
    "shards swapped between splits": (lambda d: swap(d / PARQUET, d / TEST), "swapped", PARQUET, 2, None),
    "a duplicated shard": (
        lambda d: shutil.copy(d / PARQUET.replace("2", "1"), d / PARQUET), "duplicate", PARQUET, 2, None
    ),
    "an extra shard": (lambda d: shutil.copy(d / PARQUET, d / EXTRA), "extra", EXTRA, None, None),
    "an extra file": (lambda d: (d / "data/notes.txt").write_text("x"), "extra", "data/notes.txt", None, None),
    "an edited label": (lambda d: edit_label(d / PARQUET, 7), "label", PARQUET, 2, 2007),
    "a lost commit record": (lambda d: (d / commit_name(2)).unlink(), "record", None, 2, None),
    "a damaged commit record": (lambda d: flip(d / commit_name(2), 1), "record", commit_name(2), 2, None),
    "a card with other counts": (lambda d: cut(d / "README.md", 0.1), "metadata", "README.md", None, None),
    "TFDS metadata of other counts": (
        lambda d: (d / "tfds/gangen_noise/1.0.0/dataset_info.json").write_text("{}"),
        "metadata", "tfds/gangen_noise/1.0.0/dataset_info.json", None, None,
    ),
    "a lost metadata file": (
        lambda d: (d / "tfds/gangen_noise/1.0.0/features.json").unlink(),
        "metadata", "tfds/gangen_noise/1.0.0/features.json", None, None,
    ),
    "a changed plan": (lambda d: cut(d / PLAN_FILE), "manifest", PLAN_FILE, None, None),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_every_damage_is_caught_and_named(dataset, what):
    damage, kind, file, shard, row = DAMAGES[what]
    damage(dataset)
    faults = [fault for fault in check(dataset).faults if (fault.file, fault.shard) == (file, shard)]
    assert [fault.kind for fault in faults] == [kind], check(dataset).faults
    if row is ...:
        assert 2000 <= faults[0].row < 3000
        assert faults[0].num_rows == 1
    elif row is not None:
        assert (faults[0].row, faults[0].num_rows) == (row, 1)
    elif shard is not None and file and file.startswith("data"):
        assert (faults[0].row, faults[0].num_rows) == ({2: 2000}[shard], 1000)
    assert str(faults[0]).startswith(f"{kind}: ")
    json.dumps(check(dataset).facts())


def test_a_good_data_set_is_good(good):
    for full in (False, True):
        report = check(good, full=full)
        assert report.faults == []
        assert report.shards_read == (5 if full else 0)


QUICK = [name for name in DAMAGES if "flipped bit in a" not in name and name != "a damaged commit record"] + [
    "a flipped bit in a Parquet footer"
]


@pytest.mark.parametrize("what", QUICK)
def test_sizes_and_footers_catch_most_without_reading_everything(dataset, what):
    damage, kind, file, shard, _ = DAMAGES[what]
    damage(dataset)
    report = check(dataset, full=False)
    assert (kind, file, shard) in [(fault.kind, fault.file, fault.shard) for fault in report.faults]
    assert report.shards_read <= 2


def forge(out: Path, file: str) -> None:
    """Write the present checksum and size of a file into the manifest and the commit record."""
    for name in (MANIFEST_FILE, *(commit_name(i) for i in range(5))):
        value = json.loads((out / name).read_text())
        for shard in value.get("shards", [value]):
            for record in shard["files"].values():
                if record["name"] == file:
                    record["sha256"] = file_sha256(out / file)
                    record["size_bytes"] = (out / file).stat().st_size
        (out / name).write_text(json.dumps(value))


def test_an_edited_label_is_caught_even_with_its_checksum_forged(dataset):
    edit_label(dataset / PARQUET, 7)
    forge(dataset, PARQUET)
    faults = check(dataset).faults
    found = [(f.kind, f.file, f.shard, f.row, f.num_rows) for f in faults if f.shard is not None]
    assert found == [("label", PARQUET, 2, 2007, 1)]
    assert "the plan says" in faults[-1].what


def test_formats_that_differ_are_caught_where_no_plan_tells_the_label(tmp_path):
    make_dataset(tmp_path, latent_dim=None, shard_rows=1000)
    edit_label(tmp_path / PARQUET, 7)
    forge(tmp_path, PARQUET)
    (fault,) = [fault for fault in check(tmp_path).faults if fault.shard is not None]
    assert (fault.kind, fault.file, fault.row, fault.num_rows) == ("label", PARQUET, 2007, 1)
    assert "not as in tfrecord" in fault.what


def test_a_changed_pixel_of_the_only_format_is_caught_and_regeneration_names_the_row(tmp_path):
    make_dataset(tmp_path, formats=("tfrecord",), image_encoding="raw", shard_rows=1000)
    path = tmp_path / TFRECORD
    images, labels = FakeSampler().draw(0, 2, labels_of(dataset_spec(), None))
    images[99, 5, 5] ^= 1
    writer = FORMATS["tfrecord"].open(path, image_encoding="raw", class_names=())
    writer.append(encode_rows(images, labels, 2000, "raw"))
    writer.close()
    (fault,) = check(tmp_path).faults
    assert (fault.kind, fault.shard, fault.row, fault.num_rows) == ("pixels", 2, 2000, 1000)
    faults, _ = regenerate(tmp_path, FakeSampler())
    assert [(f.kind, f.file, f.shard, f.row, f.num_rows) for f in faults] == [
        ("pixels", TFRECORD, 2, 2099, 1)
    ]


def test_what_the_manifest_says_must_fit_its_shards(dataset):
    text = json.loads((dataset / MANIFEST_FILE).read_text())
    for field, value in (("num_rows", 5001), ("rows_digest", "0" * 64), ("label_counts", {"0": 5000})):
        (dataset / MANIFEST_FILE).write_text(json.dumps(text | {field: value}))
        assert any(f.kind == "manifest" and field in f.what for f in check(dataset, full=False).faults) or (
            field == "label_counts"
        )
        assert check(dataset, full=False).faults
    (dataset / MANIFEST_FILE).write_text(json.dumps(text | {"shards": text["shards"][:-1]}))
    assert "lists 4 shards, the plan has 5" in str(check(dataset, full=False).faults[0])
    (dataset / MANIFEST_FILE).write_text("{")
    with pytest.raises(CommitConflict, match="damaged"):
        check(dataset)


def test_labels_of_a_file_are_checked_against_it(tmp_path):
    wanted = np.random.default_rng(0).integers(0, 10, 5000)
    (tmp_path / "labels.txt").write_text("\n".join(map(str, wanted)) + "\n")
    manifest = make_dataset(tmp_path / "out", labels_file=tmp_path / "labels.txt", shard_rows=1000)
    assert manifest.label_counts == {k: int(n) for k, n in enumerate(np.bincount(wanted))}
    stored = pq.read_table(tmp_path / "out/data")["label"].to_numpy()
    assert (stored == wanted).all()
    assert check(tmp_path / "out").faults == []
    edit_label(tmp_path / "out" / PARQUET, 7)
    forge(tmp_path / "out", PARQUET)
    assert [(f.kind, f.row) for f in check(tmp_path / "out").faults if f.shard == 2] == [("label", 2007)]
    flip(tmp_path / "out/.gangen/labels-000.u1", 4)
    assert "not those that the plan names" in " ".join(map(str, check(tmp_path / "out").faults))


def test_lost_labels_are_named_and_the_rest_is_checked_all_the_same(tmp_path):
    np.save(tmp_path / "labels.npy", np.arange(5000) % 7)
    make_dataset(tmp_path / "out", labels_file=tmp_path / "labels.npy", shard_rows=1000)
    (tmp_path / "out/.gangen/labels-000.u1").unlink()
    (tmp_path / "out" / PARQUET).unlink()
    for full in (False, True):
        found = [(fault.kind, fault.file) for fault in check(tmp_path / "out", full=full).faults]
        assert found == [("metadata", ".gangen/labels-000.u1"), ("missing", PARQUET)]


def test_the_next_step_after_a_fault_cures_it(dataset, capsys):
    def next_step():
        try:
            run_verify(str(dataset), full=True, fraction=None, model=None, as_json=True)
        except DamageFound:
            return json.loads(capsys.readouterr().out)["next"]
        return json.loads(capsys.readouterr().out)["next"]

    assert next_step() == f"gangen preview --data {dataset}"
    (dataset / "data/my notes").write_text("x")
    assert next_step() == f"delete '{dataset}/data/my notes'"
    (dataset / "tfds/gangen_noise/1.0.0/features.json").unlink()
    assert next_step().endswith(" --repair")
    remake(dataset)
    assert next_step() == f"delete '{dataset}/data/my notes'"
    cut(dataset / PLAN_FILE)
    assert next_step() == f"restore {dataset}/{PLAN_FILE}"


def test_what_cannot_be_read_is_one_line(dataset):
    (dataset / MANIFEST_FILE).unlink()
    (dataset / MANIFEST_FILE).mkdir()
    for call in (
        lambda: run_status(str(dataset), run_options(None, False, False, True)),
        lambda: run_verify(str(dataset), full=False, fraction=None, model=None, as_json=True),
    ):
        with pytest.raises(DataError, match=r"^\S+/manifest.json: cannot be read \(Is a directory\)$"):
            call()


# --- regeneration


def test_a_sample_of_blocks_is_what_the_model_draws(good):
    faults, done = regenerate(good, FakeSampler(), 0.5)
    assert faults == []
    assert (done.blocks, done.exact_blocks, done.levels) == (3, 3, 0)


def test_a_wrong_model_is_caught_and_named(good):
    with pytest.raises(ModelError, match="the manifest names abababababab; give the folder of the model"):
        regenerate(good, FakeSampler(digest="cd" * 32))
    faults, _ = regenerate(good, FakeSampler(noise=1))
    assert [(f.kind, f.shard, f.row) for f in faults] == [("pixels", i, 1000 * i) for i in range(5)]
    assert "in 1,000 of 1,000 rows" in faults[0].what


def test_rows_that_the_manifest_tells_of_and_no_model_draws_are_told_from_damage(good, dataset):
    storage = open_storage(str(good))
    manifest = finished_manifest(storage)
    faults, _ = regenerate(good, FakeSampler(noise=1))
    assert all(fault.is_as_committed for fault in faults)
    cure = remedy(storage.url, manifest, None, faults)
    assert f"--out {storage.url}-again" in cure
    assert "--repair" not in cure
    report = check(good)
    report.faults += faults
    assert report.bad_shards == []
    flip(dataset / PIXELS, 16 + 784 * 33 + 5)
    faults, _ = regenerate(dataset, FakeSampler())
    assert [(f.row, f.is_as_committed) for f in faults] == [(2033, False)]
    assert remedy(storage.url, manifest, None, faults).endswith(" --repair")


@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda path: flip(path, 100)])
def test_without_the_labels_nothing_is_drawn_again_and_the_labels_are_named(
    tmp_path, damage, monkeypatch, capsys
):
    np.save(tmp_path / "labels.npy", np.arange(5000) % 7)
    out = tmp_path / "out"
    make_dataset(out, labels_file=tmp_path / "labels.npy")
    damage(out / ".gangen/labels-000.u1")
    monkeypatch.setattr(dataset_commands, "_model_of", lambda *_: "fake")
    for full in (False, True):
        with pytest.raises(DamageFound, match=r"1 fault \(first: metadata: .gangen/labels-000.u1"):
            run_verify(str(out), full=full, fraction=1.0, model=None, as_json=True)
        said = capsys.readouterr()
        assert "nothing is drawn again: the labels to draw by are lost or changed" in said.err
        facts = json.loads(said.out)
        assert (facts["regenerated"], facts["next"]) == (None, f"restore {out}/.gangen/labels-000.u1")


def test_another_device_may_differ_by_one_grey_level_and_no_more(good):
    faults, done = regenerate(good, FakeSampler(levels=1, device="GPU"))
    assert faults == []
    assert (done.blocks, done.exact_blocks, done.levels) == (5, 0, 1)
    assert len(regenerate(good, FakeSampler(levels=1))[0]) == 5
    assert len(regenerate(good, FakeSampler(levels=2, device="GPU"))[0]) == 5


def test_another_device_may_differ_by_eight_grey_levels_in_bfloat16(tmp_path):
    make_dataset(tmp_path, precision="bfloat16")
    assert regenerate(tmp_path, FakeSampler(levels=8, device="GPU"))[0] == []
    assert regenerate(tmp_path, FakeSampler(levels=9, device="GPU"))[0] != []


def test_blocks_are_chosen_without_replacement_and_the_same_each_time():
    blocks = chosen_blocks(1000, 0.1, "ab" * 32)
    assert len(set(blocks.tolist())) == 100
    assert (blocks == chosen_blocks(1000, 0.1, "ab" * 32)).all()
    assert (chosen_blocks(7, 1.0, "ab" * 32) == np.arange(7)).all()
    assert len(chosen_blocks(10**6, 1e-9, "ab" * 32)) == 1


# --- repair


def snapshot(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): file_sha256(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and "commits" not in path.parts
    }


@pytest.mark.parametrize("what", [n for n, d in DAMAGES.items() if d[1] not in ("extra", "manifest")])
def test_repair_gives_every_file_back_as_it_was(good, dataset, what):
    DAMAGES[what][0](dataset)
    remake(dataset)
    assert check(dataset).faults == []
    assert snapshot(dataset) == snapshot(good)


def test_what_a_clusters_repair_made_is_told_from_what_was_there(dataset):
    plan = Plan(finished_manifest(open_storage(str(dataset))).spec)
    flip(dataset / PARQUET, 100_000)
    before = read_records(open_storage(str(dataset)), plan)
    remake(dataset)
    result = _seen_from_here(GenerateSpec(dataset=plan.spec, model="fake", out=str(dataset)), before)
    assert (result["shards_made"], result["rows_made"]) == (1, 1000)


def test_repair_refuses_what_comes_out_otherwise(dataset):
    flip(dataset / PARQUET, 100_000)
    before = file_sha256(dataset / PARQUET)
    with pytest.raises(CommitConflict, match="shard 2 made again is not what the manifest says"):
        remake(dataset, FakeSampler(noise=1))
    with pytest.raises(CommitConflict, match=r"where it was made \(device CPU then, GPU now\)"):
        remake(dataset, FakeSampler(noise=1, device="GPU"))
    assert file_sha256(dataset / PARQUET) == before
    remake(dataset)
    assert check(dataset).faults == []


@pytest.mark.parametrize("damage", [lambda path: flip(path, 100_000), cut, Path.unlink])
def test_a_refused_repair_leaves_the_data_set_as_it_was(dataset, damage):
    damage(dataset / PARQUET)
    storage = open_storage(str(dataset))
    before = check(dataset).faults, snapshot(dataset), status(storage)
    with pytest.raises(CommitConflict, match="nothing was replaced"):
        remake(dataset, FakeSampler(noise=1))
    assert (check(dataset).faults, snapshot(dataset), status(storage)) == before


def test_what_waits_to_replace_a_lost_file_does_not_stand_for_it(dataset):
    (dataset / PARQUET).rename(dataset / "whole")
    pending = dataset / ".gangen/pending" / PARQUET
    pending.parent.mkdir(parents=True)
    (dataset / "whole").rename(pending)
    assert status(open_storage(str(dataset)))["status"] == "damaged"
    with pytest.raises(CommitConflict, match="1 of 25 files are missing or cut"):
        read_manifest(open_storage(str(dataset)))


def test_repair_of_a_forged_manifest_is_refused(dataset):
    text = json.loads((dataset / MANIFEST_FILE).read_text())
    (dataset / MANIFEST_FILE).write_text(json.dumps(text | {"rows_digest": "0" * 64}))
    with pytest.raises(CommitConflict, match="restore the manifest first"):
        remake(dataset)


def test_what_is_no_finished_data_set_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="holds no data set"):
        check(tmp_path)
    (tmp_path / ".gangen").mkdir()
    (tmp_path / PLAN_FILE).write_text("{}")
    with pytest.raises(DataError, match="is not finished; `gangen status"):
        check(tmp_path)


# --- no false alarms


plans = st.fixed_dictionaries(
    {
        "count": st.integers(1, 6000) | st.sampled_from([1000, 2000, 4000]),
        "shard_rows": st.sampled_from([1000, 2000, 3000]),
        "formats": st.sets(st.sampled_from(FORMATS_OF_ALL), min_size=1).map(sorted).map(tuple),
        "image_encoding": st.sampled_from(["png", "raw"]),
        "labels": st.sampled_from(["0,1,2,3,4,5,6,7,8,9", "uniform", "3", "1,4,7", "0=0.250000,7=0.750000"]),
        "seed": st.integers(0, 2**63 - 1),
        "splits": st.sampled_from([(("train", 10**6),), (("train", 700_000), ("test", 300_000))]),
        "more": st.lists(st.integers(1, 3000), max_size=2),
    }
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(plan=plans)
def test_no_false_alarm_on_good_data_sets_of_random_plans(tmp_path_factory, plan):
    out = tmp_path_factory.mktemp("random")
    fields = {key: value for key, value in plan.items() if key != "more"}
    try:
        manifest = make_dataset(out, **fields)
        ends = [plan["count"]]
        for more in plan["more"]:
            if ends[-1] % 1000 == 0:
                extended = {"count": ends[-1] + more, "extended_at": tuple(ends)}
                Plan(dataset_spec(**fields | extended))  # A split may get no rows of so few.
                manifest = make_dataset(out, **fields | extended)
                ends.append(ends[-1] + more)
    except SpecError as err:
        assert "would have no rows" in str(err)  # noqa: PT017
        if not (out / MANIFEST_FILE).exists():
            return
    for full in (False, True):
        assert check(out, full=full).faults == []
    assert regenerate(out, FakeSampler(), 0.3)[0] == []
    assert finished_manifest(open_storage(str(out))) == manifest
    shutil.rmtree(out)
