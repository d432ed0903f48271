//! `stave serve`: reconciles until it is stopped, and answers over HTTP.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use stave_lifecycle::port::failure::PortError;
use stave_server::{Developers, Secret, Services};
use stave_store::lease::{Holder, Lease};

use crate::{
    args::Serve,
    exit::{Exit, GENERAL, USAGE},
    platform::{Desk, SERVE, now, tally::Tally},
    whole::write_private,
    workshop::Workshop,
};

/// The variable with what `Authorization: Bearer` has to say for everything, and the file with it where nobody sets that.
const TOKEN: &str = "STAVE_SERVE_TOKEN";
const TOKEN_FILE: &str = "token";
/// The same for what developers may.
const DEVELOPERS: &str = "STAVE_SERVE_DEVELOPER_TOKEN";
const DEVELOPERS_FILE: &str = "token-developers";
/// The variable with what webhooks have to know.
const HOOK_TOKEN: &str = "STAVE_HOOK_TOKEN";

/// What the long help says more.
pub(crate) const HELP: &str = "\
One process reconciles at a time: a second one says who does. Commands write down what they are asked for, and this does the
rest; it ends at Ctrl-C, and what was being built is begun again by the next one.

Every request has to bring a token (Authorization: Bearer …). There are two, each what its variable says, or else what is in its
file in the data folder, which only this user can read:
  operators   STAVE_SERVE_TOKEN            platform/token             may do everything in all namespaces
  developers  STAVE_SERVE_DEVELOPER_TOKEN  platform/token-developers  may read everything, and change images and builders of namespaces,
                                                                      with --developers-namespace of these alone
Without STAVE_SERVE_TOKEN only this machine can be listened on. Once one of the variables is set, or something was changed with the
developers' token, wishes are taken to be others', from then on: nothing of this user's (local repositories, git and registry logins)
is used for them, and sources come from public addresses and from the hosts that `stave config private-sources` names.

STAVE_HOOK_TOKEN is what webhooks have to know, as a secret of a git host; without it none is taken.
GET /openapi.json describes the API; /healthz, /readyz and /metrics are for who watches.";

/// Serves.
pub(crate) fn run(workshop: &Workshop, arguments: &Serve) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    let said = secret(TOKEN);
    if said.is_none() && !arguments.listen.ip().is_loopback() {
        let exit =
            Exit::new(USAGE, format!("{} can be reached by others, who could change everything", arguments.listen));
        return Err(exit.hint(format!("set {TOKEN} to a secret, or listen on 127.0.0.1")));
    }
    let mut lease = take(workshop)?;
    let token = said.clone().map_or_else(|| own_token(workshop, TOKEN_FILE), Ok)?;
    let developers = developers(&desk, arguments, &token)?;
    if said.is_some() || secret(DEVELOPERS).is_some() {
        desk.take_from_others()?;
    }
    let listener = TcpListener::bind(arguments.listen).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("could not listen on {}", arguments.listen));
        Exit::new(GENERAL, error).hint("--listen names another address and port; port 0 is any that is free")
    })?;
    let address = listener.local_addr().map_err(|error| Exit::new(GENERAL, error))?;
    lease.set_address(Some(format!("http://{address}")))?;
    let tally = Arc::new(Tally::since(now()));
    let services = Services {
        records: desk.shared_records(),
        logs: desk.shared_logs(),
        rules: desk.rules()?,
        lifecycle: desk.lifecycle().to_owned(),
        now,
        state: Arc::clone(&tally) as _,
        token: Some(token),
        developers: Some(developers),
        hook_token: secret(HOOK_TOKEN),
    };
    workshop.ui.say(&format!("serving on http://{address}"));
    both(&desk, &lease, &tally, listener, services, address)
}

/// Answers and reconciles, until either ends.
fn both(
    desk: &Desk<'_>,
    lease: &Lease,
    tally: &Arc<Tally>,
    listener: TcpListener,
    services: Services,
    address: SocketAddr,
) -> Result<(), Exit> {
    let (stop, cancel) = (desk.workshop.cancel.flag(), &desk.workshop.cancel);
    let failed = |error: std::io::Error| {
        Exit::new(GENERAL, anyhow::Error::new(error).context(format!("could not go on serving on {address}")))
    };
    let (served, reconciled) = thread::scope(|threads| {
        let server = threads.spawn(move || {
            let served = stave_server::serve(listener, services, stop);
            // Nobody reconciles unseen.
            if served.is_err() {
                cancel.set();
            }
            served
        });
        let reconciled = desk.serve(lease, tally);
        cancel.set();
        (server.join(), reconciled)
    });
    reconciled?;
    match served {
        Ok(served) => served.map_err(failed)?,
        Err(_) => return Err(Exit::new(GENERAL, "the server itself failed")),
    }
    desk.workshop.ui.say("stopped: what was being built is begun again by the next one");
    Ok(())
}

/// The lease, or who has it.
fn take(workshop: &Workshop) -> Result<Lease, Exit> {
    if let Some(lease) = Lease::take(&workshop.data, &Holder::this_process(SERVE, now()))? {
        return Ok(lease);
    }
    let Some(holder) = Lease::holder(&workshop.data) else {
        return Err(Exit::new(GENERAL, "somebody else held the lease until now").hint("try again"));
    };
    let since = stave_model::time::rfc3339(holder.since);
    let at = holder.address.map(|address| format!(" on {address}")).unwrap_or_default();
    let message = format!(
        "`{}` (process {}, since {since}{at}) holds the lease: one reconciles at a time",
        holder.what, holder.pid
    );
    Err(Exit::new(GENERAL, message).hint("end that one first, or wait for it"))
}

/// What developers have to say, and may.
fn developers(desk: &Desk<'_>, arguments: &Serve, operators: &Secret) -> Result<Developers, Exit> {
    let token = secret(DEVELOPERS).map_or_else(|| own_token(desk.workshop, DEVELOPERS_FILE), Ok)?;
    if token == *operators {
        let exit =
            Exit::new(USAGE, "the developers' token is the operators' too, with which everything may be changed");
        return Err(exit.hint(format!("set {DEVELOPERS} and {TOKEN} to different secrets")));
    }
    Ok(Developers { token, namespaces: arguments.developers_namespaces.clone(), first: desk.taking_from_others() })
}

/// A token in the data folder, made if there is none: whoever can read it is the user, or got it from them.
fn own_token(workshop: &Workshop, name: &str) -> Result<Secret, Exit> {
    let folder = workshop.data.within("platform").map_err(PortError::from)?;
    let failed = |error: io::Error| {
        Exit::new(GENERAL, anyhow::Error::new(error).context("could not keep the token of the API in the data folder"))
    };
    let path = folder.path().join(name);
    if let Some(token) = fs::read_to_string(&path).ok().and_then(|text| Secret::new(text.trim())) {
        return Ok(token);
    }
    let mut random = [0; 32];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)).map_err(failed)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    write_private(&path, token.as_bytes()).map_err(failed)?;
    Secret::new(token).ok_or_else(|| Exit::new(GENERAL, "the token of the API is empty"))
}

fn secret(variable: &str) -> Option<Secret> {
    std::env::var(variable).ok().and_then(Secret::new)
}
