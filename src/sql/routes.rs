//! HTTP routes of SQL.

use actix_web::{get, post, put};
use utoipa_actix_web::service_config::ServiceConfig;

use super::files::{ExportSql, ImportSql, Imported, SQLITE_FILE, SqlFile};
use super::methods::{BatchSql, ExecuteSql, GetSqlSchema, MigrateSql, QuerySql};
use super::schema::SqlSchema;
use super::types::{Executed, ExecutedBatch, Migrated, Rows, SqlMigrations, SqlStatement, SqlStatements};
use crate::call::{Answer, FileAnswer, Request, Tenant};
use crate::problem::{Code, Problem};

/// Adds the routes of SQL.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(migrate_sql).service(execute_sql).service(batch_sql).service(query_sql).service(get_sql_schema);
    service.service(export_sql).service(import_sql);
}

/// Run a query.
///
/// Runs one statement that only reads, in the payer's own SQLite database: `SELECT`, `WITH`, `VALUES`, `EXPLAIN QUERY PLAN`,
/// or a `PRAGMA` that describes a table or an index. A database that was never written is empty. Reads wait for no write,
/// and see the database as it is at a moment during the call. The payer's counters, links, locks, jobs, queues and memories are
/// tables, too: `pb_counters`, `pb_jobs`, .. A call has {{sql_time_max}} of processor time and
/// {{sql_memory_max}} of memory.
#[utoipa::path(operation_id = "querySql", tag = "sql",
    request_body(content = SqlStatement, examples(
        ("positions" = (summary = "Parameters by position", value = json!({
            "sql": "select id, name from customers where city = ? order by id limit 10", "params": ["Berlin"]}))),
        ("names" = (summary = "Parameters by name", value = json!({
            "sql": "select sum(cents) as cents from orders where customer = :customer",
            "params": {"customer": 7}}))))),
    responses((status = 200, description = "The rows.", body = Rows)))]
#[post("/sql/query")]
async fn query_sql(tenant: Tenant, call: Request<QuerySql>) -> Result<Answer<Rows>, Problem> {
    tenant.call(call).await
}

/// Run a statement that may write.
///
/// Runs one statement in the payer's own SQLite database: also `CREATE`, `ALTER`, `DROP`, `INSERT`, `UPDATE` and `DELETE`, with
/// `RETURNING`. It is one transaction: after an error nothing is stored, also with `OR FAIL`. Foreign keys are enforced.
/// The database has up to {{sql_database_bytes_max}}.
#[utoipa::path(operation_id = "executeSql", tag = "sql",
    request_body(content = SqlStatement, examples(
        ("create" = (summary = "Create a table", value = json!({
            "sql": "create table if not exists customers (id integer primary key, name text not null, city text)"}))),
        ("insert" = (summary = "Insert a row", value = json!({
            "sql": "insert into customers (name, city) values (?, ?) returning id", "params": ["Ada", "Berlin"]}))))),
    responses((status = 200, description = "The result.", body = Executed)))]
#[post("/sql/execute")]
async fn execute_sql(tenant: Tenant, call: Request<ExecuteSql>) -> Result<Answer<Executed>, Problem> {
    tenant.call(call).await
}

/// Run several statements in one transaction.
///
/// Runs 1 to {{sql_statements_max}} statements in order, all or none. In `transact` they commit together with the other calls,
/// whose results they cannot use: SQL runs before the transaction. Other calls can refer to the results of SQL.
#[utoipa::path(operation_id = "batchSql", tag = "sql",
    request_body(content = SqlStatements, examples(
        ("order" = (summary = "Insert an order, and mark its customer", value = json!({"statements": [
            {"sql": "create table if not exists orders (id integer primary key, customer integer, cents integer)"},
            {"sql": "insert into orders (customer, cents) values (:customer, :cents)",
                "params": {"customer": 7, "cents": 1250}},
            {"sql": "update customers set city = coalesce(city, 'Berlin') where id = ?", "params": [7]}]}))))),
    responses((status = 200, description = "The result of each statement.", body = ExecutedBatch)))]
#[post("/sql/batch")]
async fn batch_sql(tenant: Tenant, call: Request<BatchSql>) -> Result<Answer<ExecutedBatch>, Problem> {
    tenant.call(call).await
}

/// Run migrations.
///
/// Runs the migrations that have not run before, in order, all or none, and remembers them in the table `pb_migrations` of the
/// database. So a program can send all of its migrations at each start. A migration that ran before with another text is
/// `migration-changed`.
#[utoipa::path(operation_id = "migrateSql", tag = "sql",
    request_body(content = SqlMigrations, examples(
        ("two" = (summary = "Two migrations", value = json!({"migrations": [
            {"id": "1-customers",
                "sql": "create table clients (id integer primary key, name text not null);\ncreate index clients_by_name on clients (name);"},
            {"id": "2-cities", "sql": "alter table clients add column city text"}]}))))),
    responses((status = 200, description = "What ran now.", body = Migrated)))]
#[post("/sql/migrate")]
async fn migrate_sql(tenant: Tenant, call: Request<MigrateSql>) -> Result<Answer<Migrated>, Problem> {
    tenant.call(call).await
}

/// Describe the database.
///
/// The tables and views of the payer's own SQLite database with their columns, indexes and numbers of rows, and its size.
#[utoipa::path(operation_id = "getSqlSchema", tag = "sql",
    responses((status = 200, description = "The description.", body = SqlSchema)))]
#[get("/sql/schema")]
async fn get_sql_schema(tenant: Tenant, call: Request<GetSqlSchema>) -> Result<Answer<SqlSchema>, Problem> {
    tenant.call(call).await
}

/// Export the database.
///
/// The payer's own SQLite database as a file that SQLite and its tools open. A database that was never written is a file without tables.
#[utoipa::path(operation_id = "exportSql", tag = "sql",
    responses((status = 200, description = "The file.", content_type = "application/vnd.sqlite3", body = SqlFile)))]
#[get("/sql/database")]
async fn export_sql(tenant: Tenant, call: Request<ExportSql>) -> Result<FileAnswer, Problem> {
    let file = tenant.call(call).await?.output.file;
    let file = file.ok_or_else(|| Problem::new(Code::Internal))?;
    Ok(FileAnswer { bytes: file.bytes, media_type: SQLITE_FILE, name: "database.sqlite", held: Some(file.held) })
}

/// Import a database.
///
/// Replaces the payer's own SQLite database by the one in a file of up to {{sql_database_bytes_max}}, with any size of pages and
/// any encoding. Its tables, indexes and views are made again, and its rows are copied, in {{sql_import_time_max}} of processor
/// time. Rows that are only in a `-wal` file beside it are not imported. A file with triggers or virtual tables, one that is damaged, or one whose foreign keys refer to nothing, is refused.
#[utoipa::path(operation_id = "importSql", tag = "sql",
    request_body(content(
        (SqlFile = "application/vnd.sqlite3"), (SqlFile = "application/octet-stream")), description = "The file."),
    responses((status = 200, description = "Its size.", body = Imported)))]
#[put("/sql/database")]
async fn import_sql(tenant: Tenant, call: Request<ImportSql>) -> Result<Answer<Imported>, Problem> {
    tenant.call(call).await
}
