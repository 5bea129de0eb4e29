//! Routes of memories.

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

/// Registers the routes of memories.
pub fn configure(service: &mut ServiceConfig<'_>) {
    // Fixed paths come before `/memories/{id}`, which would match them too.
    service
        .service(store_memories)
        .service(search_memories)
        .service(list_memories)
        .service(store_memory)
        .service(recall_memory)
        .service(update_memory)
        .service(forget_memory);
}

/// Store a memory.
///
/// Replaces the memory with the same id, whatever its namespace. Without an `embedding`, the server makes one from the
/// content, if it has a model. It splits long contents into parts and takes the mean of their vectors. If the model
/// fails, the call fails with `embedding-failed` and stores nothing. For a model that runs in the server, the limit is
/// 131,072 tokens per call; more is `payload-too-large`.
#[utoipa::path(operation_id = "storeMemory", tag = "memories",
    params(("id" = Name, Path, description = "Id of the memory.")),
    request_body(content = StoreMemory, examples(
        ("fact" = (summary = "A fact about a user", value = json!({
            "content": "Ada prefers tea, without sugar.", "namespace": "user-42", "tags": ["preferences"]}))),
        ("vector" = (summary = "With the caller's vector, for one week", value = json!({
            "content": "The build is green again.", "embedding": [0.12, -0.5, 0.33], "embeddingModel": "my-model",
            "metadata": {"kind": "status", "confidence": 0.9}, "importance": 0.2, "ttlMs": 604_800_000}))))),
    responses(
        (status = 201, description = "The new memory.", body = StoredMemory),
        (status = 200, description = "The memory that replaced another one.", body = StoredMemory)))]
#[put("/memories/{id}")]
async fn store_memory(
    tenant: Tenant,
    call: Request<StoreMemory>,
) -> Result<Either<Created<StoredMemory>, Answer<StoredMemory>>, Problem> {
    let answer = tenant.call(call).await?;
    Ok(if answer.output.replaced { Either::Right(answer) } else { Either::Left(Created(answer)) })
}

/// Store a batch of memories.
///
/// The batch succeeds or fails as a whole. It has 1 to 100 memories, contents of at most 256 KiB in total, and a body
/// of at most 8 MiB. For a model that runs in the server, the limit is 131,072 tokens per call; more is
/// `payload-too-large`.
#[utoipa::path(operation_id = "storeMemories", tag = "memories",
    request_body(content = StoreMemories, examples(
        ("two" = (summary = "Two facts", value = json!({"memories": [
            {"id": "user-42/drink", "content": "Ada prefers tea, without sugar.", "namespace": "user-42"},
            {"content": "Ada works from Stockholm on Fridays.", "namespace": "user-42"}]}))))),
    responses((status = 201, description = "The memories, in the order of the request.", body = StoredMemories)))]
#[post("/memories/batch")]
async fn store_memories(tenant: Tenant, call: Request<StoreMemories>) -> Result<Created<StoredMemories>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Get a memory.
///
/// The result reflects every write that was answered before. An expired memory is `not-found`.
#[utoipa::path(operation_id = "recallMemory", tag = "memories",
    params(("id" = Name, Path, description = "Id of the memory."), RecallMemory),
    responses((status = 200, description = "The memory.", body = Memory)))]
#[get("/memories/{id}")]
async fn recall_memory(tenant: Tenant, call: Request<RecallMemory>) -> Result<Answer<Memory>, Problem> {
    tenant.call(call).await
}

/// Update a memory.
///
/// The body is a JSON merge patch (RFC 7396), also inside the metadata: absent members are unchanged, and `null`
/// removes a value or restores its default. If the content is given without an `embedding`, a vector that the server
/// made is made again, or removed if the server has no model any more. A memory without a vector gets one if the server
/// has a model. A vector from the caller stays until the caller sends another one, or `null`.
#[utoipa::path(operation_id = "updateMemory", tag = "memories",
    params(("id" = Name, Path, description = "Id of the memory.")),
    request_body(content = UpdateMemory, examples(
        ("metadata" = (summary = "One more metadata member", value = json!({"metadata": {"seen": 3}}))),
        ("later" = (summary = "New content, without expiry", value = json!({
            "content": "Ada likes to drink green tea now.", "expiresAt": null}))))),
    responses((status = 200, description = "The updated memory.", body = Memory)))]
#[patch("/memories/{id}")]
async fn update_memory(tenant: Tenant, call: Request<UpdateMemory>) -> Result<Answer<Memory>, Problem> {
    tenant.call(call).await
}

/// Search memories.
///
/// Searches by words (`text`), by meaning (`vector`), or by both (`hybrid`). `filter`, `tags` and `namespace` apply
/// before the top-k cut, so they do not shorten the results while enough memories match. The server applies no minimum
/// score of its own. The results end early once their contents and metadata exceed {{memories_bytes_max}}.
///
/// A vector is compared only with vectors of the same model and the same number of dimensions. If memories in scope
/// have vectors, but none that can be compared, the search fails with `dimension-mismatch`, and `stored` lists the
/// models and dimensions in use. If the request has neither `mode` nor `embedding`, the server searches by words
/// instead. `skipped` is the number of memories that could not be compared.
#[utoipa::path(operation_id = "searchMemories", tag = "memories",
    request_body(content = SearchMemories, examples(
        ("question" = (summary = "A question", value = json!({
            "query": "What does Ada like to drink?", "namespace": "user-42"}))),
        ("with-filter" = (summary = "The five best by words, with a filter", value = json!({
            "query": "green build", "mode": "text", "limit": 5,
            "filter": {"kind": "status", "confidence": {"$gte": 0.5}}}))))),
    responses((status = 200, description = "The results, best first.", body = Found)))]
#[post("/memories/search")]
async fn search_memories(tenant: Tenant, call: Request<SearchMemories>) -> Result<Answer<Found>, Problem> {
    tenant.call(call).await
}

/// Delete a memory.
///
/// Deletes the content, the vector and all other data of the memory.
#[utoipa::path(operation_id = "forgetMemory", tag = "memories",
    params(("id" = Name, Path, description = "Id of the memory.")),
    responses((status = 204, description = "The memory was deleted.")))]
#[delete("/memories/{id}")]
async fn forget_memory(tenant: Tenant, call: Request<ForgetMemory>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// List memories.
///
/// Returns a page of memories in the byte order of their ids. A page ends early once its contents and metadata exceed
/// {{memories_bytes_max}}.
#[utoipa::path(operation_id = "listMemories", tag = "memories", params(ListMemories),
    responses((status = 200, description = "A page of memories.", body = Page<Memory>)))]
#[get("/memories")]
async fn list_memories(tenant: Tenant, call: Request<ListMemories>) -> Result<Answer<Page<Memory>>, Problem> {
    tenant.call(call).await
}
