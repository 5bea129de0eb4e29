//! Memories over HTTP.

use actix_web::{Either, delete, get, patch, post, put};
use utoipa_actix_web::service_config::ServiceConfig;

use super::methods::{ForgetMemory, ListMemories, RecallMemory};
use super::search::{Found, SearchMemories};
use super::store::{StoreMemories, StoreMemory};
use super::types::{Memory, StoredMemories, StoredMemory};
use super::update::UpdateMemory;
use crate::call::{Answer, Created, Request, Tenant};
use crate::name::Name;
use crate::page::Page;
use crate::problem::Problem;

/// Every route of memories.
pub fn configure(service: &mut ServiceConfig<'_>) {
    // Names that routes have of their own come first.
    service
        .service(store_memories)
        .service(search_memories)
        .service(list_memories)
        .service(store_memory)
        .service(recall_memory)
        .service(update_memory)
        .service(forget_memory);
}

/// Stores a memory.
///
/// In the place of whatever had its id, in any namespace. Without an `embedding`, the server makes one of the content, if it has a model
/// (long contents in parts, whose mean it takes); if that fails, nothing is stored. A model in the server reads at most
/// 131,072 tokens of one call.
#[utoipa::path(operation_id = "storeMemory", tag = "memories", params(("id" = Name, Path, description = "The memory.")),
    request_body(content = StoreMemory, examples(
        ("fact" = (summary = "A fact about a user", value = json!({
            "content": "Ada prefers tea, without sugar.", "namespace": "user-42", "tags": ["preferences"]}))),
        ("vector" = (summary = "With a vector of one's own, for a week", value = json!({
            "content": "The build is green again.", "embedding": [0.12, -0.5, 0.33], "embeddingModel": "my-model",
            "metadata": {"kind": "status", "confidence": 0.9}, "importance": 0.2, "ttlMs": 604_800_000}))))),
    responses(
        (status = 201, description = "The memory, which is new.", body = StoredMemory),
        (status = 200, description = "The memory, which replaced another one.", body = StoredMemory)))]
#[put("/memories/{id}")]
async fn store_memory(
    tenant: Tenant,
    call: Request<StoreMemory>,
) -> Result<Either<Created<StoredMemory>, Answer<StoredMemory>>, Problem> {
    let answer = tenant.call(call).await?;
    Ok(if answer.output.replaced { Either::Right(answer) } else { Either::Left(Created(answer)) })
}

/// Stores memories: all or none.
///
/// 1 to 100 memories with contents of at most 256 KiB together, in a body of at most 8 MiB. A model in the server reads at
/// most 131,072 tokens of one call.
#[utoipa::path(operation_id = "storeMemories", tag = "memories",
    request_body(content = StoreMemories, examples(
        ("two" = (summary = "Two facts", value = json!({"memories": [
            {"id": "user-42/drink", "content": "Ada prefers tea, without sugar.", "namespace": "user-42"},
            {"content": "Ada works from Stockholm on Fridays.", "namespace": "user-42"}]}))))),
    responses((status = 201, description = "The memories, in the order of the call.", body = StoredMemories)))]
#[post("/memories/batch")]
async fn store_memories(tenant: Tenant, call: Request<StoreMemories>) -> Result<Created<StoredMemories>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Reads a memory.
#[utoipa::path(operation_id = "recallMemory", tag = "memories",
    description = "Every write that was answered before is in it. One that has ended is not there.",
    params(("id" = Name, Path, description = "The memory."), RecallMemory),
    responses((status = 200, description = "The memory.", body = Memory)))]
#[get("/memories/{id}")]
async fn recall_memory(tenant: Tenant, call: Request<RecallMemory>) -> Result<Answer<Memory>, Problem> {
    tenant.call(call).await
}

/// Changes a memory.
///
/// A JSON merge patch (RFC 7396): what it does not name stays, in the metadata too; `null` is as if it had never been given.
/// When the content changes, a vector that the server made is made anew, or taken away if it has no model any more; one that
/// the caller gave stays until the caller gives another one, or `null`.
#[utoipa::path(operation_id = "updateMemory", tag = "memories", params(("id" = Name, Path, description = "The memory.")),
    request_body(content = UpdateMemory, examples(
        ("metadata" = (summary = "One member more", value = json!({"metadata": {"seen": 3}}))),
        ("content" = (summary = "Another content, for ever", value = json!({"content": "Ada prefers coffee now.", "expiresAt": null}))))),
    responses((status = 200, description = "The memory.", body = Memory)))]
#[patch("/memories/{id}")]
async fn update_memory(tenant: Tenant, call: Request<UpdateMemory>) -> Result<Answer<Memory>, Problem> {
    tenant.call(call).await
}

/// Finds memories.
///
/// By words (`text`), by meaning (`vector`), or by both (`hybrid`). Filter, tags and namespace hold before the best are
/// taken, so a search that they leave enough memories for is never short of results. There is no hidden minimum score.
///
/// Vectors are compared where the same model made them, with the same dimensions. If a search by vector meets only others
/// it answers `dimension-mismatch`, and says what is stored; a search whose mode and vector are left to the server goes by
/// words then. `skipped` says how many memories could not be compared.
#[utoipa::path(operation_id = "searchMemories", tag = "memories",
    request_body(content = SearchMemories, examples(
        ("question" = (summary = "A question", value = json!({"query": "What does Ada like to drink?", "namespace": "user-42"}))),
        ("filtered" = (summary = "The five best by words, of one kind", value = json!({
            "query": "green build", "mode": "text", "limit": 5, "filter": {"kind": "status", "confidence": {"$gte": 0.5}}}))))),
    responses((status = 200, description = "What was found, the best first.", body = Found)))]
#[post("/memories/search")]
async fn search_memories(tenant: Tenant, call: Request<SearchMemories>) -> Result<Answer<Found>, Problem> {
    tenant.call(call).await
}

/// Deletes a memory.
///
/// Content, vector and all.
#[utoipa::path(operation_id = "forgetMemory", tag = "memories", params(("id" = Name, Path, description = "The memory.")),
    responses((status = 204, description = "It is gone.")))]
#[delete("/memories/{id}")]
async fn forget_memory(tenant: Tenant, call: Request<ForgetMemory>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// Lists memories by id.
///
/// In the order of the ids' bytes, a page at a time.
#[utoipa::path(operation_id = "listMemories", tag = "memories", params(ListMemories),
    responses((status = 200, description = "A page of memories.", body = Page<Memory>)))]
#[get("/memories")]
async fn list_memories(tenant: Tenant, call: Request<ListMemories>) -> Result<Answer<Page<Memory>>, Problem> {
    tenant.call(call).await
}
