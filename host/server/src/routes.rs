//! The table of all that can be asked, and the router that is made from it.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _},
    extract::{FromRequestParts as _, Query, RawPathParams, Request},
    http::{StatusCode, header, request::Parts},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter},
};
use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};

use crate::{
    App,
    answer::{self, Answer, Contents, Pieces},
    api::{builds, health, hook, images, logs, metrics, operators, plan},
    call::{Call, named},
    guard::{self, Gate},
    openapi,
    rights::{self, Role},
    trouble::Trouble,
};

/// The largest body of a request.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// So much more is read and thrown away, so that whoever sends it gets an answer.
const MAX_WASTE: usize = 8 * MAX_BODY;
/// Pieces of a log that wait to be taken.
const PIECES: usize = 4;

/// What answers a request.
type Handler = fn(&App, &Call) -> Result<Answer, Trouble>;

/// One thing that can be asked.
#[derive(Clone, Copy)]
struct Route {
    method: &'static str,
    path: &'static str,
    gate: Gate,
    /// What may be asked behind the `?`; nobody looks at it where there is none.
    query: Option<&'static [&'static str]>,
    handler: Handler,
}

const IMAGE: &str = "/v1/namespaces/{namespace}/images/{name}";
const TRIGGER: &str = "/v1/namespaces/{namespace}/images/{name}/trigger";
const HOOK: &str = "/v1/namespaces/{namespace}/images/{name}/hook";
const EXPLAIN: &str = "/v1/namespaces/{namespace}/images/{name}/explain";
const BUILDS: &str = "/v1/namespaces/{namespace}/images/{name}/builds";
const BUILD: &str = "/v1/namespaces/{namespace}/images/{name}/builds/{number}";
const LOG: &str = "/v1/namespaces/{namespace}/images/{name}/builds/{number}/log";
const CANCEL: &str = "/v1/namespaces/{namespace}/images/{name}/builds/{number}/cancel";

const fn open(path: &'static str, handler: Handler) -> Route {
    Route { method: "GET", path, gate: Gate::Open, query: None, handler }
}

const fn known(method: &'static str, path: &'static str, handler: Handler) -> Route {
    Route { method, path, gate: Gate::Known, query: Some(&[]), handler }
}

const fn asking(path: &'static str, query: &'static [&'static str], handler: Handler) -> Route {
    Route { method: "GET", path, gate: Gate::Known, query: Some(query), handler }
}

const fn wishing(path: &'static str, handler: Handler) -> Route {
    Route { method: "PUT", path, gate: Gate::Known, query: Some(&["generation"]), handler }
}

/// All that can be asked.
const ROUTES: [Route; 32] = [
    open("/healthz", health::alive),
    open("/readyz", health::ready),
    open("/metrics", metrics::show),
    open("/openapi.json", openapi::show),
    asking("/v1/images", &["namespace", "reason", "ready", "limit", "offset"], images::list),
    known("GET", IMAGE, images::show),
    wishing(IMAGE, images::apply),
    known("DELETE", IMAGE, images::remove),
    known("POST", TRIGGER, images::trigger),
    Route { method: "POST", path: HOOK, gate: Gate::Hook, query: None, handler: hook::receive },
    known("GET", EXPLAIN, images::explain),
    asking(BUILDS, &["limit", "offset"], builds::list),
    known("GET", BUILD, builds::show),
    asking(LOG, &["follow"], logs::show),
    known("POST", CANCEL, builds::cancel),
    asking("/v1/clusterbuilders", &["limit", "offset"], operators::builders),
    known("GET", "/v1/clusterbuilders/{name}", operators::builder),
    wishing("/v1/clusterbuilders/{name}", operators::apply_builder),
    known("DELETE", "/v1/clusterbuilders/{name}", operators::remove_builder),
    asking("/v1/clusterstacks", &["limit", "offset"], operators::stacks),
    known("GET", "/v1/clusterstacks/{name}", operators::stack),
    wishing("/v1/clusterstacks/{name}", operators::apply_stack),
    known("DELETE", "/v1/clusterstacks/{name}", operators::remove_stack),
    asking("/v1/clusterstores", &["limit", "offset"], operators::stores),
    known("GET", "/v1/clusterstores/{name}", operators::store),
    wishing("/v1/clusterstores/{name}", operators::apply_store),
    known("DELETE", "/v1/clusterstores/{name}", operators::remove_store),
    asking("/v1/clusterbuildpacks", &["limit", "offset"], operators::packages),
    known("GET", "/v1/clusterbuildpacks/{name}", operators::package),
    wishing("/v1/clusterbuildpacks/{name}", operators::apply_package),
    known("DELETE", "/v1/clusterbuildpacks/{name}", operators::remove_package),
    known("POST", "/v1/plan", plan::make),
];

/// Everything that can be asked, as a router.
pub(crate) fn router(app: &Arc<App>, patience: Duration) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for route in ROUTES {
        let app = Arc::clone(app);
        let filter = match route.method {
            "PUT" => MethodFilter::PUT,
            "POST" => MethodFilter::POST,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let methods = paths.remove(route.path).unwrap_or_default();
        let methods = methods.on(filter, move |request: Request| answer(app, route, request, patience));
        paths.insert(route.path, methods);
    }
    let router = paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    let app = Arc::clone(app);
    router
        .fallback(async || Trouble::new(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "this address is not asked so: see the header `Allow`")
        })
        .layer(from_fn(move |request: Request, next: Next| {
            let app = Arc::clone(&app);
            async move {
                let mut response = match guard::host(&app, request.uri(), request.headers()) {
                    Ok(()) => next.run(request).await,
                    Err(trouble) => trouble.into_response(),
                };
                answer::finish(&mut response);
                response
            }
        }))
}

async fn answer(app: Arc<App>, route: Route, request: Request, patience: Duration) -> Response {
    let answered = match call(&app, route, request, patience).await {
        Ok(call) => {
            let app = Arc::clone(&app);
            let handle = move || {
                if call.is_of_others {
                    app.take_from_others()?;
                }
                (route.handler)(&app, &call)
            };
            let handled = spawn_blocking(handle).await;
            // A handler that panics is a fault of ours, and of this request alone.
            handled.unwrap_or_else(|_| Err(Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "answer this request")))
        }
        Err(trouble) => Err(trouble),
    };
    match answered {
        Err(trouble) => trouble.into_response(),
        Ok(Answer { status, contents }) => match contents {
            Contents::Nothing => status.into_response(),
            Contents::Json(document) => answer::document(status, &document),
            Contents::Text(kind, text) => answer::response(status, kind, Body::from(text)),
            Contents::Log(tail) => {
                let (sender, pieces) = mpsc::channel(PIECES);
                tokio::spawn(logs::pump(app, *tail, sender));
                answer::response(status, logs::KIND, Body::new(Pieces(pieces)))
            }
        },
    }
}

/// A request, whole and allowed.
async fn call(app: &App, route: Route, request: Request, patience: Duration) -> Result<Call, Trouble> {
    let (mut parts, body) = request.into_parts();
    let whose = guard::gate(app, route.gate, &parts)?;
    let names = names(&mut parts).await?;
    if let Some(whose) = whose {
        rights::may(whose, route.method, route.path, named(&names, "namespace"))
            .map_err(|why| Trouble::new(StatusCode::FORBIDDEN, why.to_string()))?;
    }
    let is_of_others = matches!(whose, Some(Role::Developer(_))) && rights::changes(route.method, route.path);
    let query = match route.query {
        None => Vec::new(),
        Some(_) => match Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => query,
            Err(_) => return Err(Trouble::bad("the query cannot be read")),
        },
    };
    let body = if guard::is_reading(&parts.method) { Bytes::new() } else { whole(&parts, body, patience).await? };
    let call = Call { names, query, headers: parts.headers, body, is_of_others };
    if let Some(known) = route.query {
        call.check_query(known)?;
    }
    Ok(call)
}

async fn names(parts: &mut Parts) -> Result<Vec<(String, String)>, Trouble> {
    match RawPathParams::from_request_parts(parts, &()).await {
        Ok(names) => Ok(names.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
        Err(_) => Err(Trouble::bad("the address is not UTF-8")),
    }
}

/// The whole body, in time and within its size.
async fn whole(parts: &Parts, body: Body, patience: Duration) -> Result<Bytes, Trouble> {
    let too_large = || {
        let trouble = Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {MAX_BODY} bytes"));
        trouble.with(header::CONNECTION, "close")
    };
    let told = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > MAX_WASTE as u64) {
        return Err(too_large());
    }
    match timeout(patience, read(body)).await {
        Ok(Some(Ok(bytes))) => Ok(bytes),
        Ok(Some(Err(()))) => Err(too_large()),
        Ok(None) => Err(Trouble::bad("read the body: it ends before its end")),
        Err(_) => {
            let trouble = Trouble::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
            Err(trouble.with(header::CONNECTION, "close"))
        }
    }
}

/// A body's bytes; none if it breaks off, `Err` if it is too large.
async fn read(mut body: Body) -> Option<Result<Bytes, ()>> {
    let (mut bytes, mut size) = (Vec::new(), 0);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        size += data.len();
        if size > MAX_WASTE {
            break;
        }
        if size > MAX_BODY {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&data);
        }
    }
    Some(if size > MAX_BODY { Err(()) } else { Ok(bytes.into()) })
}

/// The methods of a path, for the description.
#[cfg(test)]
pub(crate) fn table() -> std::collections::BTreeSet<(String, String)> {
    ROUTES.into_iter().map(|route| (route.path.to_owned(), route.method.to_owned())).collect()
}

/// Method, path and gate of everything, in the table's order.
#[cfg(test)]
pub(crate) fn gated() -> Vec<(&'static str, &'static str, Gate)> {
    ROUTES.into_iter().map(|route| (route.method, route.path, route.gate)).collect()
}
