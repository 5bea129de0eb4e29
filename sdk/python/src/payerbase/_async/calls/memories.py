"""Memories: texts that are found by words, by meaning, or by both.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import ABSENT, Absent, ReadOptions, WriteOptions


class AsyncMemories(AsyncGroup):
    """Memories: texts that are found by words, by meaning, or by both."""

    async def store(
        self,
        id: str,
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
        **options: Unpack[WriteOptions],
    ) -> models.StoredMemory:
        """Store a memory.

        Replaces the memory with the same id, whatever its namespace. Without an `embedding`, the server makes one from
        the content, if it has a model. It splits long contents into parts and takes the mean of their vectors. If the
        model fails, the call fails with `embedding-failed` and stores nothing. For a model that runs in the server, the
        limit is 131,072 tokens per call; more is `payload-too-large`.

        Needs the scope `memories:write`.

        Args:
            id: Id of the memory.
            content: Content of the memory, 1 to 100,000 characters.
            embedding: Vector of the content, for searches by meaning. Absent: the server makes it, if it has a model.
                `None`: no vector.
            embedding_model: Model that made `embedding`; only with `embedding`. Only vectors of the same model and
                dimensions are compared. `None` or absent: not known.
            expires_at: Time at which the memory expires. A past time means now. `None` or absent: never, unless
                `ttl_ms` is given. Cannot be combined with `ttl_ms`.
            importance: Importance of the memory, 0 to 1. Default: 0.5.
            metadata: Arbitrary metadata, at most 16 KiB of JSON. Searches can filter by it. Default: `{}`.
            namespace: Namespace of the memory. Default: `default`.
            tags: Tags of the memory, at most 32. Default: `[]`.
            ttl_ms: Lifetime of the memory, in milliseconds, 1,000 (one second) to 315,360,000,000 (10 years). `None` or
                absent: no limit, unless `expires_at` is given. Cannot be combined with `expires_at`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `invalid-vector`: The vector is not valid.
                `embedding-failed`: The embedding model failed.
        """
        return await self._send(
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

    async def store_many(
        self, memories: Sequence[inputs.BatchedMemory], **options: Unpack[WriteOptions]
    ) -> models.StoredMemories:
        """Store a batch of memories.

        The batch succeeds or fails as a whole. It has 1 to 100 memories, contents of at most 256 KiB in total, and a
        body of at most 8 MiB. For a model that runs in the server, the limit is 131,072 tokens per call; more is
        `payload-too-large`.

        Needs the scope `memories:write`.

        Args:
            memories: Memories to store, 1 to 100, with different ids and contents of at most 256 KiB in total. Contents
                beyond ASCII count with the size of the text that is prepared for searches by words.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `invalid-vector`: The vector is not valid.
                `embedding-failed`: The embedding model failed.
        """
        return await self._send(_operations.STORE_MEMORIES, {"memories": memories}, options)

    async def get(
        self, id: str, *, include_embedding: bool | None = None, **options: Unpack[ReadOptions]
    ) -> models.Memory:
        """Get a memory.

        The result reflects every write that was answered before. An expired memory is `not-found`.

        Needs the scope `memories:read`.

        Args:
            id: Id of the memory.
            include_embedding: Whether to return the vector too. Default: `False`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.RECALL_MEMORY, {"id": id, "include_embedding": include_embedding}, options)

    async def update(
        self,
        id: str,
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
        **options: Unpack[WriteOptions],
    ) -> models.Memory:
        """Update a memory.

        The body is a JSON merge patch (RFC 7396), also inside the metadata: absent members are unchanged, and `None`
        removes a value or restores its default. If the content is given without an `embedding`, a vector that the
        server made is made again, or removed if the server has no model any more. A memory without a vector gets one if
        the server has a model. A vector from the caller stays until the caller sends another one, or `None`.

        Needs the scope `memories:write`.

        Args:
            id: Id of the memory.
            content: New content, 1 to 100,000 characters. `None` or absent keeps it. Unless `embedding` is given, the
                server makes the vector again if it made the old one or there was none. A vector that it made is removed
                if it has no model any more. A vector from the caller stays.
            embedding: New vector. `None` removes the vector.
            embedding_model: Model that made `embedding`; only with `embedding`. `None` or absent: not known.
            expires_at: New time at which the memory expires. A past time means now. `None`: never. Cannot be combined
                with `ttl_ms`.
            importance: New importance, 0 to 1. `None`: 0.5.
            metadata: Merge patch of the metadata, at most 16 KiB of JSON. A member that is `None` is removed; `None`
                for the whole removes all members. If the result has more than 32 KiB, the call fails with `payload-too-
                large`.
            namespace: New namespace. `None`: `default`.
            tags: New tags, at most 32, instead of the old ones. `None`: no tags.
            ttl_ms: Lifetime of the memory from now on, in milliseconds, 1,000 (one second) to 315,360,000,000 (10
                years). `None`: no limit. Cannot be combined with `expires_at`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `not-found`: The resource or the path does not exist.
                `invalid-vector`: The vector is not valid.
                `embedding-failed`: The embedding model failed.
        """
        return await self._send(
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

    async def delete(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a memory.

        Deletes the content, the vector and all other data of the memory.

        Needs the scope `memories:write`.

        Args:
            id: Id of the memory.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        await self._send(_operations.FORGET_MEMORY, {"id": id}, options)

    async def search(
        self,
        query: str | None = None,
        *,
        embedding: Sequence[float] | None = None,
        embedding_model: str | None = None,
        exact: bool | None = None,
        filter: Mapping[str, Any] | None = None,
        include_embedding: bool | None = None,
        limit: int | None = None,
        min_score: float | None = None,
        mode: models.Mode | None = None,
        namespace: str | None = None,
        tags: Sequence[str] | None = None,
        tags_match: models.TagsMatch | None = None,
        **options: Unpack[ReadOptions],
    ) -> models.Found:
        """Search memories.

        Searches by words (`text`), by meaning (`vector`), or by both (`hybrid`). `filter`, `tags` and `namespace` apply
        before the top-k cut, so they do not shorten the results while enough memories match. The server applies no
        minimum score of its own. The results end early once their contents and metadata exceed 4 MiB.

        A vector is compared only with vectors of the same model and the same number of dimensions. If memories in scope
        have vectors, but none that can be compared, the search fails with `dimension-mismatch`, and `stored` lists the
        models and dimensions in use. If the request has neither `mode` nor `embedding`, the server searches by words
        instead. `skipped` is the number of memories that could not be compared.

        Needs the scope `memories:read`.

        Args:
            query: Query text. `None` or absent: the search uses `embedding` alone, in mode `vector`.
            embedding: Vector of the query. `None` or absent: the server makes it from `query`, if it has a model. Not
                allowed in mode `text`.
            embedding_model: Model that made `embedding`; only with `embedding`. `None` or absent: the vector is
                compared with vectors that were stored without a model. If none of them has the same dimensions, it is
                compared with the vectors of these dimensions, provided that one model made them all.
            exact: Whether to compare all vectors. If not `True`, the search may be approximate where more than 50,000
                vectors have the same model and dimensions.
            filter: Only memories whose metadata matches this filter. `None` or absent: all memories.
            include_embedding: Whether to return the vectors of the results too. Default: `False`.
            limit: Maximum number of results, 1 to 100. Default: 10.
            min_score: Minimum score of a result, in the scoring of the mode: at most 1 in the modes `vector` and
                `hybrid`, unbounded in mode `text`. `None` or absent: no minimum.
            mode: Mode of the search. `None` or absent: with a query, `hybrid` if `embedding` is given or the server has
                a model, otherwise `text`; without a query, `vector`.
            namespace: Only memories in this namespace. `None` or absent: all namespaces.
            tags: Only memories with these tags, at most 32. Default: `[]`, all memories.
            tags_match: Whether memories must have `all` of the tags or `any` of them. Default: `all`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `invalid-vector`: The vector is not valid.
                `dimension-mismatch`: No memory in scope has a vector that can be compared with the query.
                `no-embedding-model`: The server has no embedding model.
                `embedding-failed`: The embedding model failed.
        """
        return await self._send(
            _operations.SEARCH_MEMORIES,
            {
                "query": query,
                "embedding": embedding,
                "embedding_model": embedding_model,
                "exact": exact,
                "filter": filter,
                "include_embedding": include_embedding,
                "limit": limit,
                "min_score": min_score,
                "mode": mode,
                "namespace": namespace,
                "tags": tags,
                "tags_match": tags_match,
            },
            options,
        )

    def list(
        self,
        *,
        namespace: str | None = None,
        tag: str | None = None,
        prefix: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncPages[models.Memory]:
        """List memories.

        Returns a page of memories in the byte order of their ids. A page ends early once its contents and metadata
        exceed 4 MiB.

        Needs the scope `memories:read`.

        Args:
            namespace: Only memories in this namespace. Absent: all namespaces.
            tag: Only memories with this tag. Absent: any or no tags.
            prefix: Only memories whose ids start with this prefix. Absent: all ids.
            limit: Maximum number of memories in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Absent: the first page.
        """
        return self._pages(
            _operations.LIST_MEMORIES,
            {"namespace": namespace, "tag": tag, "prefix": prefix, "limit": limit, "cursor": cursor},
            options,
        )
