"""Blocks that another draws are asked for a few at a time, and come in order."""

from __future__ import annotations

from types import SimpleNamespace

from jobs import remote_blocks
from jobs.plan import Plan
from jobs.remote_blocks import BLOCKS_AHEAD, RemoteBlocks
from tests.unit.fake_digits import dataset_spec


def test_a_few_blocks_are_on_their_way_at_a_time_whatever_the_shard_holds(monkeypatch):
    asked: list[tuple[int, int]] = []
    drawer = SimpleNamespace(
        device=SimpleNamespace(remote=lambda: {"device": "GPU noise"}),
        draw=SimpleNamespace(remote=lambda first, rows: asked.append((first, rows)) or (first, rows)),
    )
    monkeypatch.setattr(remote_blocks, "_get", lambda ref: ref)
    source = RemoteBlocks(drawer, 1000)
    task = Plan(dataset_spec(count=53_500, shard_rows=50_000)).task(0)
    got = []
    for block in source.blocks(task):
        got.append(block)
        assert len(asked) - len(got) <= BLOCKS_AHEAD
    assert got == asked == [(first, 1000) for first in range(0, 50_000, 1000)]
    last = Plan(dataset_spec(count=53_500, shard_rows=50_000)).task(1)
    assert list(source.blocks(last)) == [(50_000, 1000), (51_000, 1000), (52_000, 1000), (53_000, 500)]
    assert source.device(task) == {"device": "GPU noise"}
