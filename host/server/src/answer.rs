//! What is answered: JSON, a text, a log piece by piece, or that something is wrong.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{api::logs::Tail, trouble::Trouble};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// What a handler answers.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) contents: Contents,
}

/// What is in an answer.
pub(crate) enum Contents {
    /// Nothing.
    Nothing,
    /// A document.
    Json(Value),
    /// A text of a type.
    Text(&'static str, String),
    /// A log, from here on.
    Log(Box<Tail>),
}

impl Answer {
    /// A document.
    pub(crate) fn json(document: Value) -> Self {
        Self { status: StatusCode::OK, contents: Contents::Json(document) }
    }

    /// The same with another status.
    pub(crate) fn with(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// That it is done.
    pub(crate) fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, contents: Contents::Nothing }
    }
}

/// A response of a type.
pub(crate) fn response(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A document as a response.
pub(crate) fn document(status: StatusCode, document: &Value) -> Response {
    response(status, JSON, Body::from(document.to_string()))
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = response(self.status, PROBLEM, Body::from(self.document().to_string()));
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Headers of every response: nothing is kept, nothing is guessed, no page shows it inside itself.
pub(crate) fn finish(response: &mut Response) {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// A body that somebody else writes, piece by piece.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}
