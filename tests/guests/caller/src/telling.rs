//! The exports: what is to be called, and what it was answered.

use crate::bindings::{
    Caller,
    exports::stave::buildpack::{construction, detection},
    stave::buildpack::{
        app,
        types::{Blame, Error, Failure, Requirement},
    },
};

/// The answer to the call that the app names.
fn told() -> String {
    let name = app::read("call", 100).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // Where even this is denied, it is what is told.
    match name.map(|name| crate::call(&name)) {
        Ok(Some(Ok(answer))) => format!("allowed: {answer}"),
        Ok(None) => "there is no such call".to_owned(),
        Ok(Some(Err(error))) | Err(error) => {
            let Error { fault, message, hint } = error;
            format!("{fault:?}: {message}{}", hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())
        }
    }
}

impl detection::Guest for Caller {
    fn detect() -> Result<detection::Verdict, Failure> {
        Ok(detection::Verdict::Skip(told()))
    }
}

impl construction::Guest for Caller {
    fn build(_: Vec<Requirement>) -> Result<construction::Report, Failure> {
        let summary = told();
        Err(Failure { blame: Blame::Buildpack, summary, detail: None, hint: None, file: None, line: None })
    }
}
