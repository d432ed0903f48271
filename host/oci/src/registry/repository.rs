//! One repository of a registry: addresses, and exchanges with credentials, retries and errors that say what happened.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use stave_lifecycle::{
    image::Descriptor,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
    },
};
use stave_transport::{
    Client, Error, Request, Response,
    fault::Kind,
    request::Authorization,
    retry::{Policy, retry},
};
use url::Url;

use super::{
    INSECURE_VARIABLE, Registries, Way,
    auth::{self, AuthError, Challenge, Realm},
    credentials::Credentials,
};
use crate::reference::Registry;

/// How much of a refusal's body is read, in bytes.
const MAX_REFUSAL: u64 = 16 * 1024;

/// One repository, for one purpose: what may be done there is asked for once.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) client: Client,
    pub(super) registry: Registry,
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) cancel: Cancel,
    base: Url,
    scopes: Vec<String>,
    credentials: Arc<Credentials>,
    /// What the registry accepted last, shared by all threads.
    authorization: Arc<Mutex<Option<Authorization>>>,
}

impl Repository {
    /// The repository `name`; `actions` is `pull` or `pull,push`. `more` are repositories to be read from as well.
    pub(super) fn new(
        registries: &Registries,
        registry: &Registry,
        name: &str,
        actions: &str,
        more: &[String],
        cancel: &Cancel,
    ) -> Result<Self, PortError> {
        let Way { client, plain } = registries.way(registry)?;
        let scheme = if plain { "http" } else { "https" };
        let base = format!("{scheme}://{registry}/v2/").parse().map_err(|error: url::ParseError| {
            PortError::new(Fault::InvalidInput, format!("`{registry}` is not a registry")).caused_by(error)
        })?;
        let mut scopes = vec![format!("repository:{name}:{actions}")];
        scopes.extend(more.iter().map(|other| format!("repository:{other}:pull")));
        Ok(Self {
            client,
            registry: registry.clone(),
            name: name.to_owned(),
            policy: registries.policy,
            cancel: cancel.clone(),
            base,
            scopes,
            credentials: Arc::clone(&registries.credentials),
            authorization: Arc::default(),
        })
    }

    /// `/v2/NAME/rest`. Every part of `rest` was checked: digests, tags, words of the protocol.
    pub(super) fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{rest}", self.name));
        url
    }

    /// Whether credentials for this repository may go to `url`.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Whether a blob is there. A registry that leads to it knows it; whoever keeps the bytes is not asked.
    pub(super) fn has(&self, attempt: &str, blob: &Descriptor) -> Result<bool, PortError> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        let make = || Ok(Request::head(url.clone()).follow_redirects(false));
        let response = self.exchange(attempt, &[200, 301, 302, 303, 307, 308, 404], make)?;
        let is_other = response.content_length().is_some_and(|size| size != blob.size);
        Ok(response.is_redirect() || response.status() == 200 && !is_other)
    }

    /// What the registry accepted last.
    pub(super) fn authorization(&self) -> Option<Authorization> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends what `make` makes until the registry answers with a status of `accept`, refuses, or patience ends. Passing
    /// faults are tried again; credentials are fetched when they are asked for, once for each attempt.
    pub(super) fn exchange<'a>(
        &self,
        attempt: &str,
        accept: &[u16],
        make: impl FnMut() -> Result<Request<'a>, PortError>,
    ) -> Result<Response, PortError> {
        self.exchange_for(attempt, accept, make, Ok)
    }

    /// The same, with `take` as a part of each attempt: a body that breaks off is asked for again.
    pub(super) fn exchange_for<'a, T>(
        &self,
        attempt: &str,
        accept: &[u16],
        mut make: impl FnMut() -> Result<Request<'a>, PortError>,
        mut take: impl FnMut(Response) -> Result<T, Error>,
    ) -> Result<T, PortError> {
        let flag = self.cancel.flag();
        let answered = retry(self.client.clock(), &self.policy, &flag, |_| {
            let response = self.once(attempt, accept, &mut make);
            match response.and_then(|response| take(response).map_err(Stop::Exchange)) {
                Err(Stop::Exchange(error)) => Err(error),
                Err(Stop::Lasting(error)) => Ok(Err(error)),
                Ok(taken) => Ok(Ok(taken)),
            }
        });
        answered.unwrap_or_else(|error| Err(self.failed(attempt, error)))
    }

    /// One attempt: what `make` makes, again with credentials where they are asked for, and with new ones where those have
    /// aged. What is refused with new ones too is refused.
    pub(super) fn once<'a>(
        &self,
        attempt: &str,
        accept: &[u16],
        mut make: impl FnMut() -> Result<Request<'a>, PortError>,
    ) -> Result<Response, Stop> {
        let mut refreshed = false;
        loop {
            self.cancel.check()?;
            let used = self.authorization();
            let request = make()?;
            let request = match used.clone().filter(|_| self.is_own(request.url())) {
                Some(authorization) => request.authorization(authorization),
                None => request,
            };
            let response = self.client.send(request).map_err(Stop::Exchange)?;
            match response.status() {
                status if accept.contains(&status) => return Ok(response),
                // Whoever we were sent on to is told nothing of the login, nor where to bring it (N14).
                401 if !refreshed && self.is_own(response.url()) => {
                    refreshed = used.is_some();
                    self.authorise(attempt, &Challenge::of(&response.headers("www-authenticate")), used.as_ref())?;
                    // The same password would be refused again.
                    if matches!(used, Some(Authorization::Basic { .. })) && self.authorization() == used {
                        return Err(self.refused(attempt, response).into());
                    }
                }
                _ => {
                    let failure = response.failure();
                    return Err(match failure.kind() {
                        Kind::Passing { .. } => Stop::Exchange(failure),
                        Kind::Lasting => self.refused(attempt, response).into(),
                    });
                }
            }
        }
    }

    /// Gets what the registry asks for, unless another thread got something newer than `used` meanwhile.
    fn authorise(&self, attempt: &str, challenges: &[Challenge], used: Option<&Authorization>) -> Result<(), Stop> {
        let mut current = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref() != used {
            return Ok(());
        }
        let login = self.credentials.find(&self.registry, &self.name)?;
        let ask = |scopes| {
            auth::answer(&Realm { client: &self.client, base: &self.base, scopes }, challenges, login.as_ref())
        };
        let got = match ask(&self.scopes) {
            // Some give nothing at all to those who may not read one of the repositories. A mount is not worth that.
            Err(AuthError::Refused(_)) if self.scopes.len() > 1 => ask(&self.scopes[..1]),
            other => other,
        };
        let got = got.map_err(|error| match error {
            AuthError::Exchange(error) => Stop::Exchange(error),
            other => {
                let helps = matches!(other, AuthError::NoLogin | AuthError::Refused(_));
                let error = PortError::new(Fault::Denied, attempt.to_owned()).caused_by(other);
                if helps { error.hint(self.login_hint(login.is_some())) } else { error }.into()
            }
        })?;
        *current = Some(got);
        Ok(())
    }

    fn login_hint(&self, has_login: bool) -> String {
        let registry = &self.registry;
        if has_login {
            format!("the login kept for {registry} may not do this, or is no longer good: docker login {registry}")
        } else {
            format!("no login is kept for {registry}: docker login {registry}")
        }
    }

    /// What to do where TLS failed, by what was found wrong with it.
    fn trust_hint(&self, cause: &str) -> String {
        let registry = &self.registry;
        if !cause.contains("certificate") {
            return format!("perhaps {registry} does not speak TLS: {INSECURE_VARIABLE}={registry} says so");
        }
        if !cause.contains("UnknownIssuer") {
            return format!(
                "whoever runs {registry} has to give it a certificate that is good for this name and today"
            );
        }
        format!(
            "where a CA of your own signs for {registry}, put its certificate into \
             ~/.config/containers/certs.d/{registry}/ca.crt or /etc/docker/certs.d/{registry}/ca.crt, \
             or name it in SSL_CERT_FILE"
        )
    }

    /// A refusal with the registry's own words.
    pub(super) fn refused(&self, attempt: &str, response: Response) -> PortError {
        let (status, failure) = (response.status(), response.failure());
        let mut body = Vec::new();
        let read = response.reader().ok().and_then(|reader| reader.take(MAX_REFUSAL).read_to_end(&mut body).ok());
        let fault = fault_of(status);
        let error = PortError::new(fault, attempt.to_owned());
        let words = read.and_then(|_| words_of(&body));
        let error = match words.clone() {
            Some((words, code)) => {
                error.caused_by(Refused { words: format!("{}: {words}", self.registry), code, source: failure })
            }
            None => error.caused_by(failure),
        };
        match fault {
            Fault::Denied => error.hint(self.login_hint(self.authorization().is_some())),
            // What servers say to those who do not begin with a handshake.
            _ if status == 400 && words.is_none() && self.base.scheme() == "http" => {
                let registry = &self.registry;
                error.hint(format!("if it speaks TLS, keep its CA's certificate in certs.d/{registry}/ca.crt"))
            }
            _ => error,
        }
    }

    /// A failed exchange.
    pub(super) fn failed(&self, attempt: &str, error: Error) -> PortError {
        if self.cancel.is_set() {
            return PortError::cancelled();
        }
        let fault = match &error {
            Error::Cancelled { .. } => Fault::Cancelled,
            Error::TooLarge { .. } => Fault::TooLarge,
            Error::Redirect { .. } | Error::Private { .. } => Fault::Denied,
            other => other.status().map_or(Fault::Network, fault_of),
        };
        let hint = match &error {
            Error::Tls { cause, .. } => Some(self.trust_hint(&cause.to_string())),
            other => other.hint().map(str::to_owned),
        };
        let failed = PortError::new(fault, attempt.to_owned()).caused_by(error);
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

/// Why an exchange ended without an answer.
pub(super) enum Stop {
    /// The network's or server's fault: trying again may help.
    Exchange(Error),
    /// It would be the same next time.
    Lasting(PortError),
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Lasting(error)
    }
}

/// A registry's refusal, in its words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Refused {
    words: String,
    code: String,
    #[source]
    source: Error,
}

/// Whether a registry refused with this code (OCI distribution spec, "Error Codes").
pub(super) fn is_refused_as(error: &PortError, code: &str) -> bool {
    let refused = error.source.as_ref().and_then(|source| source.downcast_ref::<Refused>());
    refused.is_some_and(|refused| refused.code == code)
}

/// The body of a refusal (OCI distribution spec, "Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The first error for people, and its code.
fn words_of(body: &[u8]) -> Option<(String, String)> {
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let first = errors.errors.into_iter().next()?;
    let cut = |text: &str| text.chars().take(200).flat_map(char::escape_debug).collect::<String>();
    Some((format!("{} ({})", cut(&first.message), cut(&first.code)), first.code))
}

fn fault_of(status: u16) -> Fault {
    match status {
        401 | 403 => Fault::Denied,
        404 => Fault::NotFound,
        _ => Fault::Network,
    }
}
