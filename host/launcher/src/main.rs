//! The launcher: the small program inside the image that sets the environment and becomes the app.
//!
//! The image's entrypoint is a link to it, `/cnb/process/TYPE`; it follows the platform specification's "launch" with
//! the exit codes of the CNB lifecycle (11 and 12: platform or buildpack API not supported, 82: launch failed). From the
//! moment the app has started, exit code and signals are the app's.
//!
//! Layers may be those of the CNB lifecycle as well as Stave's own, so processes that a shell reads are started too, if
//! the image has bash; most images that Stave makes hold no shell and need none.

use std::{
    convert::Infallible,
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    ops::RangeInclusive,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use stave_model::{
    env::Variables,
    id::BuildpackId,
    launch::{
        DEFAULT_EXEC_ENV,
        metadata::{Api, InvalidApi, InvalidMetadata, MAX_METADATA, Metadata},
    },
};

mod choose;
mod environment;
mod exec;
mod exec_d;
mod helper;
mod report;
mod shell;

use choose::{By, Surroundings};
use report::shown;

/// The platform APIs that this launcher follows.
const PLATFORM_APIS: RangeInclusive<Api> = Api { major: 0, minor: 7 }..=Api { major: 0, minor: 15 };
/// The buildpack APIs whose layers it understands.
const BUILDPACK_APIS: RangeInclusive<Api> = Api { major: 0, minor: 7 }..=Api { major: 0, minor: 12 };

/// Why the app did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("CNB_PLATFORM_API is not set, so the image's layout is not known")]
    NoPlatformApi,
    #[error("CNB_PLATFORM_API cannot be read")]
    InvalidPlatformApi(#[source] InvalidApi),
    #[error("platform API {0} is not supported by this launcher")]
    UnsupportedPlatformApi(Api),
    #[error("{id} follows buildpack API {api}, which is not supported by this launcher")]
    UnsupportedBuildpackApi { id: BuildpackId, api: Api },
    #[error("UMASK is `{}`, which is no file mode: expected octal digits, such as 022", shown(.0))]
    Umask(OsString),
    #[error("could not read `{}`", shown(path))]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{}` is not usable", shown(path))]
    Metadata {
        path: PathBuf,
        #[source]
        cause: InvalidMetadata,
    },
    #[error("could not enter the app's folder `{}`", shown(path))]
    AppFolder {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Choose(#[from] choose::NoStart),
    #[error(transparent)]
    Environment(#[from] environment::NoEnvironment),
    #[error(transparent)]
    ExecD(#[from] exec_d::Failed),
    #[error(transparent)]
    Helper(#[from] helper::Failed),
    #[error(transparent)]
    Exec(#[from] exec::NotStarted),
}

impl Failure {
    /// The exit code of the CNB lifecycle for it.
    fn code(&self) -> u8 {
        match self {
            Self::NoPlatformApi | Self::InvalidPlatformApi(_) | Self::UnsupportedPlatformApi(_) => 11,
            Self::UnsupportedBuildpackApi { .. } => 12,
            _ => 82,
        }
    }

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlatformApi => Some(
                "the image sets it; something that starts the container has removed it from the environment".to_owned(),
            ),
            Self::InvalidPlatformApi(_) | Self::UnsupportedPlatformApi(_) => {
                Some(format!("this launcher follows platform API {} to {}", PLATFORM_APIS.start(), PLATFORM_APIS.end()))
            }
            Self::UnsupportedBuildpackApi { .. } => Some(format!(
                "this launcher follows buildpack API {} to {}",
                BUILDPACK_APIS.start(),
                BUILDPACK_APIS.end()
            )),
            Self::Choose(error) => Some(error.hint()),
            Self::Helper(error) => error.hint(),
            Self::Exec(error) => error.hint(),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    let Err(failure) = launch(&env::args_os().collect::<Vec<_>>(), environment_of_this_process());
    let hint = failure.hint();
    say(&report::render(&failure, hint.as_deref()));
    ExitCode::from(failure.code())
}

/// Writes to standard error; when nobody listens there, nothing better can be done.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The container's environment, as bytes.
fn environment_of_this_process() -> Variables {
    env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect()
}

/// Becomes the app; returns only if that fails.
fn launch(argv: &[OsString], container: Variables) -> Result<Infallible, Failure> {
    let platform = platform_api(&container)?;
    if container.contains_key(b"CNB_PROCESS_TYPE".as_slice()) {
        say("warning: CNB_PROCESS_TYPE has no effect; set the entrypoint to /cnb/process/TYPE instead\n");
    }
    let layers = folder(&container, "CNB_LAYERS_DIR", "/layers")?;
    let app = folder(&container, "CNB_APP_DIR", "/workspace")?;
    let metadata = read_metadata(&layers.join("config/metadata.toml"))?;
    check_buildpacks(&metadata)?;
    let exec_env = text(&container, "CNB_EXEC_ENV").unwrap_or_else(|| DEFAULT_EXEC_ENV.to_owned());
    let start = choose::choose(argv, &metadata, Surroundings { platform, exec_env: &exec_env })?;
    env::set_current_dir(&app).map_err(|cause| Failure::AppFolder { path: app.clone(), cause })?;
    let buildpacks = environment::read(&layers, &metadata.buildpacks, start.kind.as_ref(), start.by)?;
    let mut variables = environment::inherit(container);
    environment::apply(&buildpacks, &mut variables)?;
    for program in buildpacks.iter().flatten().flat_map(|layer| &layer.programs) {
        exec_d::run(program, &app, &mut variables)?;
    }
    for line in helper::help(&mut variables)? {
        say(&format!("{line}\n"));
    }
    set_umask(&variables)?;
    let mut profiles: Vec<PathBuf> = buildpacks.into_iter().flatten().flat_map(|layer| layer.profiles).collect();
    if start.by == By::Shell {
        profiles.extend(shell::app_profile(&app));
    }
    let caller = argv.first().map_or(OsStr::new("launcher"), OsString::as_os_str);
    Err(exec::become_app(&start, caller, &profiles, &app, &variables).into())
}

/// The platform API that the image follows, if this launcher knows it.
fn platform_api(container: &Variables) -> Result<Api, Failure> {
    let text = container.get(b"CNB_PLATFORM_API".as_slice()).ok_or(Failure::NoPlatformApi)?;
    let api: Api = String::from_utf8_lossy(text).parse().map_err(Failure::InvalidPlatformApi)?;
    if PLATFORM_APIS.contains(&api) { Ok(api) } else { Err(Failure::UnsupportedPlatformApi(api)) }
}

/// Whether this launcher understands the layers of each buildpack.
fn check_buildpacks(metadata: &Metadata) -> Result<(), Failure> {
    match metadata.buildpacks.iter().find(|buildpack| !BUILDPACK_APIS.contains(&buildpack.api)) {
        Some(buildpack) => Err(Failure::UnsupportedBuildpackApi { id: buildpack.id.clone(), api: buildpack.api }),
        None => Ok(()),
    }
}

/// Sets the mode of the files that the app makes, where the environment names one, as the CNB launcher does.
fn set_umask(variables: &Variables) -> Result<(), Failure> {
    let Some(text) = variables.get(b"UMASK".as_slice()).filter(|text| !text.is_empty()) else { return Ok(()) };
    let mode = std::str::from_utf8(text).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    let mode = mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| Failure::Umask(OsString::from_vec(text.clone())))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mode));
    Ok(())
}

/// A variable of the container that is set and not empty.
fn text(container: &Variables, name: &str) -> Option<String> {
    let value = container.get(name.as_bytes()).filter(|value| !value.is_empty())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The absolute path of a folder that the container's environment names.
fn folder(container: &Variables, name: &str, default: &str) -> Result<PathBuf, Failure> {
    let value = container.get(name.as_bytes()).filter(|value| !value.is_empty()).cloned();
    let path = value.map_or_else(|| PathBuf::from(default), |value| OsString::from_vec(value).into());
    std::path::absolute(&path).map_err(|cause| Failure::Read { path, cause })
}

/// Reads `metadata.toml`.
fn read_metadata(path: &Path) -> Result<Metadata, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_METADATA as u64 + 1).read_to_string(&mut text))
        .map_err(|cause| Failure::Read { path: path.to_owned(), cause })?;
    Metadata::from_toml(&text).map_err(|cause| Failure::Metadata { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_stave_makes_are_understood() {
        let container = |api: &str| Variables::from([(b"CNB_PLATFORM_API".to_vec(), api.as_bytes().to_vec())]);
        assert!(platform_api(&container(stave_model::image::PLATFORM_API)).is_ok());
        for api in ["", "0.6", "0.16", "1.0", "0.14.1"] {
            assert!(platform_api(&container(api)).is_err(), "{api}");
        }
    }
}
