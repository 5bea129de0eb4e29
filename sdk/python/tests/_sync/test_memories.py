# Made of `tests/_async/test_memories.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import fresh


def test_stores_changes_and_deletes_a_memory(pb: Payerbase) -> None:
    id = fresh()
    stored = pb.memories.store(id, "Ada likes tea", embedding=[1, 0], metadata={"camelCase": {"a_b": 1}}, tags=["t"])
    assert (stored.replaced, stored.metadata, stored.has_embedding) == (False, {"camelCase": {"a_b": 1}}, True)
    assert (pb.memories.get(id, include_embedding=True)).embedding == [1.0, 0.0]
    changed = pb.memories.update(id, metadata={"camelCase": None, "new": 2}, embedding=None)
    assert (changed.metadata, changed.has_embedding, changed.content) == ({"new": 2}, False, "Ada likes tea")
    assert (pb.memories.update(id, metadata=None, tags=None)).metadata == {}
    pb.memories.delete(id)
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.memories.get(id)


def test_stores_a_batch_and_finds_it(pb: Payerbase) -> None:
    space = fresh()
    stored = pb.memories.store_many(
        [
            {"content": "The kettle is blue", "namespace": space, "tags": ["kitchen"], "embedding": None},
            {"id": fresh(), "content": "The door is red", "namespace": space, "ttl_ms": 60_000},
        ]
    )
    assert [memory.namespace for memory in stored.memories] == [space, space]
    found = pb.memories.search("kettle", namespace=space, mode="text", tags=["kitchen"], tags_match="any")
    assert [memory.content for memory in found.results] == ["The kettle is blue"]
    assert found.results[0].score > 0
    assert found.scoring == "bm25"
    ids = [memory.id for memory in pb.memories.list(namespace=space, limit=1)]
    assert sorted(ids) == sorted(memory.id for memory in stored.memories)
