//! What is wrong, as a problem document (RFC 9457): what was attempted with its causes, and each thing to mend with its path.

use std::fmt::Display;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use stave_platform::{
    port::{Failed, records::ApplyError},
    resource::{Problem, Refused, build::Fault},
};

/// Most characters of a text that tells of something others chose.
const MAX_TEXT: usize = 2000;
/// Most problems of one document.
const MAX_PROBLEMS: usize = 100;

/// Why something is not done.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) status: StatusCode,
    detail: String,
    problems: Vec<Problem>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Trouble {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), problems: Vec::new(), header: None }
    }

    /// The request cannot be read.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// It names something that is not there.
    pub(crate) fn missing(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    /// What it says cannot be.
    pub(crate) fn refused(detail: impl Into<String>, problems: Vec<Problem>) -> Self {
        Self { problems, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// It does not fit what is.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Whoever asks does not say who they are.
    pub(crate) fn stranger(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).with(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// The same with a header.
    pub(crate) fn with(self, name: HeaderName, text: &'static str) -> Self {
        Self { header: Some((name, HeaderValue::from_static(text))), ..self }
    }

    /// The same with another status.
    pub(crate) fn answering(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The header that goes with it, if one does.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        self.header.clone()
    }

    /// The document.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": plain(&self.detail),
        });
        if !self.problems.is_empty() {
            let problems = self.problems.iter().take(MAX_PROBLEMS);
            let problems = problems.map(|one| json!({ "path": plain(&one.path), "rule": plain(&one.rule) }));
            document["problems"] = problems.collect();
        }
        document
    }
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        let status = match failed.fault {
            Fault::Transient | Fault::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failed.sentence())
    }
}

/// A manifest that is not right.
impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::refused(format!("{} is refused", refused.subject), refused.problems)
    }
}

/// A wish that is right by itself, and is not taken down.
impl From<ApplyError> for Trouble {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(refused) => {
                let detail = format!("{} cannot become what is wished for", refused.subject);
                Self { problems: refused.problems, ..Self::conflict(detail) }
            }
            overtaken @ ApplyError::Overtaken { .. } => Self::conflict(overtaken.to_string()),
            ApplyError::Failed(failed) => failed.into(),
        }
    }
}

/// The text without anything that steers a terminal or turns a line around, and cut.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == MAX_TEXT {
            shown.push('…');
            break;
        }
        let is_direction =
            matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
        if c.is_control() || is_direction { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}
