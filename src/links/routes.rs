//! HTTP routes of links: those of the payer, and the public ones.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY, RETRY_AFTER,
};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, route, web};
use qrcode::QrCode;
use qrcode::render::svg;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::methods::{CreateLink, DeleteLink, FollowLink, GetLink, GetLinkStats, ListLinks, RecordClick, UpdateLink};
use super::types::{Link, LinkStats, RecordedClick, Target};
use super::visitor::Origins;
use crate::auth::{Proof, Slugs};
use crate::call::{Answer, Created, Engine, Request, Tenant};
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::slug::Slug;
use crate::telemetry::because;

/// The page for visitors loads nothing.
const PAGE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
/// Minimum side length of a QR code, in pixels.
const QR_PIXELS_MIN: u32 = 256;

/// Adds the routes that need a token.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service
        .service(create_link)
        .service(list_links)
        .service(record_click)
        .service(get_link_stats)
        .service(get_link)
        .service(update_link)
        .service(delete_link);
}

/// Adds the public routes.
pub fn configure_public(service: &mut ServiceConfig<'_>) {
    service.service(follow_link).service(link_qr);
}

/// Create a short link.
///
/// All payers share the slugs: a slug that belongs to another payer or to another link is `slug-taken`. Without `slug`,
/// the link gets 8 random letters and digits. A target URL that is not allowed is `url-not-allowed`.
#[utoipa::path(operation_id = "createLink", tag = "links",
    request_body(content = CreateLink, examples(
        ("short" = (summary = "A short link", value = json!({"url": "https://shop.example/sale"}))),
        ("with-limits" = (summary = "At most 100 clicks within a day", value = json!({
            "url": "https://shop.example/sale", "title": "Spring sale", "maxClicks": 100, "ttlMs": 86_400_000}))))),
    responses((status = 201, description = "The link.", body = Link)))]
#[post("/links")]
async fn create_link(tenant: Tenant, call: Request<CreateLink>) -> Result<Created<Link>, Problem> {
    tenant.call(call).await.map(Created)
}

/// Get a link.
///
/// An expired or used-up link is returned too.
#[utoipa::path(operation_id = "getLink", tag = "links",
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    responses((status = 200, description = "The link.", body = Link)))]
#[get("/links/{slug}")]
async fn get_link(tenant: Tenant, call: Request<GetLink>) -> Result<Answer<Link>, Problem> {
    tenant.call(call).await
}

/// Change a link.
///
/// The body is a JSON merge patch (RFC 7396): absent members stay unchanged. `null` removes `title`, `expiresAt` or
/// `maxClicks`; `url` cannot be removed. An expired or used-up link works again if its new limits allow it.
#[utoipa::path(operation_id = "updateLink", tag = "links",
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    request_body(content = UpdateLink, examples(
        ("move" = (summary = "New target, no click limit", value = json!({
            "url": "https://shop.example/summer", "maxClicks": null}))))),
    responses((status = 200, description = "The link.", body = Link)))]
#[patch("/links/{slug}")]
async fn update_link(tenant: Tenant, call: Request<UpdateLink>) -> Result<Answer<Link>, Problem> {
    tenant.call(call).await
}

/// Record a click.
///
/// For visitors that your own server redirects. The rules of the short URL apply: an expired or used-up link is
/// `link-gone`, and bots are counted separately. The body is optional: without it, the click counts as a person's.
#[utoipa::path(operation_id = "recordClick", tag = "links",
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    request_body(content = RecordClick, examples(
        ("seen" = (summary = "Click on a news page, from Sweden", value = json!({
            "referrer": "https://news.example/today", "country": "SE"}))))),
    responses((status = 200, description = "The recorded click.", body = RecordedClick)))]
#[post("/links/{slug}/clicks")]
async fn record_click(tenant: Tenant, call: Request<RecordClick>) -> Result<Answer<RecordedClick>, Problem> {
    tenant.call(call).await
}

/// Get the click statistics of a link.
///
/// Counts of clicks by referrer, country, browser and day over the last `days` days. Addresses of visitors are never
/// stored.
#[utoipa::path(operation_id = "getLinkStats", tag = "links",
    params(("slug" = Slug, Path, description = "Slug of the link."), GetLinkStats),
    responses((status = 200, description = "The statistics.", body = LinkStats)))]
#[get("/links/{slug}/stats")]
async fn get_link_stats(tenant: Tenant, call: Request<GetLinkStats>) -> Result<Answer<LinkStats>, Problem> {
    tenant.call(call).await
}

/// Delete a link.
///
/// Its statistics are deleted too. The slug stays the payer's for 10 minutes, in which it can make a new link with it. Then
/// a background job frees the slug for all payers.
#[utoipa::path(operation_id = "deleteLink", tag = "links",
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    responses((status = 204, description = "No content: the link is deleted.")))]
#[delete("/links/{slug}")]
async fn delete_link(tenant: Tenant, call: Request<DeleteLink>) -> Result<Answer<()>, Problem> {
    tenant.call(call).await
}

/// List links.
///
/// Pages are sorted by time of creation, newest first.
#[utoipa::path(operation_id = "listLinks", tag = "links", params(ListLinks),
    responses((status = 200, description = "A page of links.", body = Page<Link>)))]
#[get("/links")]
async fn list_links(tenant: Tenant, call: Request<ListLinks>) -> Result<Answer<Page<Link>>, Problem> {
    tenant.call(call).await
}

/// The path of a short URL without the slashes that people add: `//l/slug/` is `/l/slug`. `None` if it has none.
pub(crate) fn tidied(path: &str) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let tidy = segments.next().filter(|first| *first == "l")?;
    let tidy = segments.fold(format!("/{tidy}"), |path, segment| format!("{path}/{segment}"));
    (tidy != path).then_some(tidy)
}

/// Whether [`follow_link`] serves this path.
pub(crate) fn is_short_url(path: &str) -> bool {
    path.strip_prefix("/l/").is_some_and(|slug| !slug.contains('/'))
}

/// The slug in a path. Signs behind it belong to the text in which the short URL was found: `(see https://.../l/slug).`
fn slug_of(path: &web::Path<String>) -> Result<Slug, Problem> {
    let is_of_text = |c: char| !(c.is_alphanumeric() || c.is_control() || matches!(c, '-' | '_' | '/'));
    let slug = path.trim_end_matches(is_of_text);
    Slug::try_from(slug.to_owned()).map_err(|_no_slug| Problem::new(Code::NotFound))
}

/// A small page for a visitor whose browser cannot be redirected. Clients of the API get the problem.
fn page_for(request: &HttpRequest, problem: Problem) -> Result<HttpResponse, Problem> {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return Err(problem);
    }
    let status = problem.code().status();
    let text = match status {
        StatusCode::NOT_FOUND => "There is no such link.",
        StatusCode::GONE => "This link does not work any more.",
        _ => "This link cannot be opened at the moment. Try again in a minute.",
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((X_ROBOTS_TAG, "noindex")).insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
    if let Some(seconds) = problem.code().retry_after_s() {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    Ok(response.body(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{text}</title><body><h1>{text}</h1></body></html>\n"
    )))
}

/// Follow a link.
///
/// The click is counted durably before the answer. Bots, link previews, `HEAD` requests and prefetching browsers are
/// redirected too, but counted separately as bots. An expired or used-up link is `link-gone`; a browser (`Accept: text/html`)
/// gets a small page instead of a problem. Punctuation and slashes behind the slug are ignored.
#[utoipa::path(get, operation_id = "followLink", path = "/l/{slug}", tag = "links", security(()),
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    responses((status = 302, description = "Redirect to the target URL.",
        headers(("Location" = String, description = "The target URL.")))))]
#[route("/l/{slug}", method = "GET", method = "HEAD")]
async fn follow_link(
    path: web::Path<String>,
    request: HttpRequest,
    slugs: web::Data<Slugs>,
    engine: web::Data<Engine>,
    origins: web::Data<Origins>,
) -> Result<HttpResponse, Problem> {
    match target_of(&path, &request, &slugs, engine.into_inner(), &origins).await {
        Ok(target) => {
            let mut response = HttpResponse::Found();
            response.insert_header((LOCATION, target.url)).insert_header((CACHE_CONTROL, "no-store"));
            response.insert_header((REFERRER_POLICY, "no-referrer")).insert_header((X_ROBOTS_TAG, "noindex"));
            Ok(response.finish())
        }
        Err(problem) => page_for(&request, problem),
    }
}

/// Counts the visit, and gets the target.
async fn target_of(
    path: &web::Path<String>,
    request: &HttpRequest,
    slugs: &Slugs,
    engine: Arc<Engine>,
    origins: &Origins,
) -> Result<Target, Problem> {
    let slug = slug_of(path)?;
    let visitor = origins.visitor(request);
    let method = FollowLink {
        slug: slug.clone(),
        id: Uuid::now_v7(),
        referrer: visitor.referrer,
        country: visitor.country,
        browser: visitor.browser,
        bot: visitor.bot,
    };
    let visit = async |owner: Proof| {
        let answer = Tenant::new(owner, Arc::clone(&engine)).call(Request::of(method.clone())).await;
        answer.map(|answer| answer.output)
    };
    slugs.visit(&slug, visit).await
}

/// Get the QR code of a short URL.
///
/// The code contains the short URL of this slug. The server does not check whether the link exists.
#[utoipa::path(operation_id = "linkQr", tag = "links", security(()),
    params(("slug" = Slug, Path, description = "Slug of the link.")),
    responses((status = 200, description = "The QR code, as SVG.", body = String, content_type = "image/svg+xml")))]
#[get("/l/{slug}/qr.svg")]
async fn link_qr(path: web::Path<String>, engine: web::Data<Engine>) -> Result<HttpResponse, Problem> {
    let code = QrCode::new(engine.site().short_url(slug_of(&path)?.as_str())).map_err(|error| {
        because(format!("a short URL does not fit into a QR code: {error}"));
        Problem::new(Code::Internal)
    })?;
    let svg = code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS_MIN, QR_PIXELS_MIN).build();
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "image/svg+xml")).insert_header((CACHE_CONTROL, "public, max-age=86400"));
    Ok(response.body(svg))
}
