"""Memories: texts that are found by words, by meaning, or by both. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, inputs
from payerbase._operation import ABSENT, Absent, TransactedOptions
from payerbase._references import Handle, Ref, TransactedGroup
from payerbase._transacted import handles


class Memories(TransactedGroup):
    """Memories: texts that are found by words, by meaning, or by both. In a transaction."""

    def store(
        self,
        id: str | Ref,
        content: str,
        *,
        embedding: Sequence[float] | Absent | None = ABSENT,
        embedding_model: str | None = None,
        expires_at: datetime | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        namespace: str | None = None,
        tags: Sequence[str] | None = None,
        ttl_ms: int | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.StoredMemoryHandle:
        """Store a memory. `memories.store` of the client describes it."""
        return self._add(
            handles.StoredMemoryHandle,
            _operations.STORE_MEMORY,
            {
                "id": id,
                "content": content,
                "embedding": embedding,
                "embedding_model": embedding_model,
                "expires_at": expires_at,
                "importance": importance,
                "metadata": metadata,
                "namespace": namespace,
                "tags": tags,
                "ttl_ms": ttl_ms,
            },
            options,
        )

    def store_many(
        self, memories: Sequence[inputs.BatchedMemory], **options: Unpack[TransactedOptions]
    ) -> handles.StoredMemoriesHandle:
        """Store a batch of memories. `memories.store_many` of the client describes it."""
        return self._add(handles.StoredMemoriesHandle, _operations.STORE_MEMORIES, {"memories": memories}, options)

    def get(
        self, id: str | Ref, *, include_embedding: bool | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.MemoryHandle:
        """Get a memory. `memories.get` of the client describes it."""
        return self._add(
            handles.MemoryHandle, _operations.RECALL_MEMORY, {"id": id, "include_embedding": include_embedding}, options
        )

    def update(
        self,
        id: str | Ref,
        *,
        content: str | None = None,
        embedding: Sequence[float] | Absent | None = ABSENT,
        embedding_model: str | None = None,
        expires_at: datetime | Absent | None = ABSENT,
        importance: float | Absent | None = ABSENT,
        metadata: Mapping[str, Any] | Absent | None = ABSENT,
        namespace: str | Absent | None = ABSENT,
        tags: Sequence[str] | Absent | None = ABSENT,
        ttl_ms: int | Absent | None = ABSENT,
        **options: Unpack[TransactedOptions],
    ) -> handles.MemoryHandle:
        """Update a memory. `memories.update` of the client describes it."""
        return self._add(
            handles.MemoryHandle,
            _operations.UPDATE_MEMORY,
            {
                "id": id,
                "content": content,
                "embedding": embedding,
                "embedding_model": embedding_model,
                "expires_at": expires_at,
                "importance": importance,
                "metadata": metadata,
                "namespace": namespace,
                "tags": tags,
                "ttl_ms": ttl_ms,
            },
            options,
        )

    def delete(self, id: str | Ref, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Delete a memory. `memories.delete` of the client describes it."""
        return self._add(Handle[None], _operations.FORGET_MEMORY, {"id": id}, options)
