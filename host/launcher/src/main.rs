//! The launcher: the small program inside the image that sets the environment and becomes the app.
//!
//! The image's entrypoint is a link to it, `/cnb/process/TYPE`; it follows the platform specification's "launch" with
//! the exit codes of the CNB lifecycle (11: platform API not supported, 82: launch failed). From the moment the app has
//! started, exit code and signals are the app's.
//!
//! It starts direct processes only. What needs a shell (a command without `--`, processes of buildpack API 0.8 and older,
//! `profile.d`) is refused in plain words: most images that Stave makes hold no shell.

use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use stave_model::{
    env::Variables,
    launch::metadata::{Api, InvalidApi, InvalidMetadata, MAX_METADATA, Metadata},
};

mod choose;
mod environment;
mod exec;
mod exec_d;
mod report;

use report::shown;

/// The platform APIs that this launcher follows; before 0.10 `metadata.toml` had another shape.
const PLATFORM_APIS: std::ops::RangeInclusive<Api> = Api { major: 0, minor: 10 }..=Api { major: 0, minor: 15 };

/// Why the app did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("CNB_PLATFORM_API is not set, so the image's layout is not known")]
    NoPlatformApi,
    #[error("CNB_PLATFORM_API cannot be read")]
    InvalidPlatformApi(#[source] InvalidApi),
    #[error("platform API {0} is not supported by this launcher")]
    UnsupportedPlatformApi(Api),
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
    Exec(#[from] exec::NotStarted),
}

impl Failure {
    /// The exit code of the CNB lifecycle for it.
    fn code(&self) -> u8 {
        match self {
            Self::NoPlatformApi | Self::InvalidPlatformApi(_) | Self::UnsupportedPlatformApi(_) => 11,
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
            Self::Choose(error) => Some(error.hint()),
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
    check_platform(&container)?;
    if container.contains_key(b"CNB_PROCESS_TYPE".as_slice()) {
        say("warning: CNB_PROCESS_TYPE has no effect; set the entrypoint to /cnb/process/TYPE instead\n");
    }
    let layers = folder(&container, "CNB_LAYERS_DIR", "/layers")?;
    let app = folder(&container, "CNB_APP_DIR", "/workspace")?;
    let metadata = read_metadata(&layers.join("config/metadata.toml"))?;
    let start = choose::choose(argv, &metadata)?;
    env::set_current_dir(&app).map_err(|cause| Failure::AppFolder { path: app.clone(), cause })?;
    let buildpacks = environment::read(&layers, &metadata.buildpacks, start.kind.as_ref())?;
    let mut variables = environment::inherit(container);
    environment::apply(&buildpacks, &mut variables)?;
    for program in buildpacks.iter().flatten().flat_map(|layer| &layer.programs) {
        exec_d::run(program, &app, &mut variables)?;
    }
    Err(exec::become_app(&start, &app, &variables).into())
}

/// Whether the image follows a platform API that this launcher knows.
fn check_platform(container: &Variables) -> Result<(), Failure> {
    let text = container.get(b"CNB_PLATFORM_API".as_slice()).ok_or(Failure::NoPlatformApi)?;
    let api: Api = String::from_utf8_lossy(text).parse().map_err(Failure::InvalidPlatformApi)?;
    if PLATFORM_APIS.contains(&api) { Ok(()) } else { Err(Failure::UnsupportedPlatformApi(api)) }
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
        assert!(check_platform(&container(stave_model::image::PLATFORM_API)).is_ok());
        for api in ["", "0.9", "0.16", "1.0", "0.14.1"] {
            assert!(check_platform(&container(api)).is_err(), "{api}");
        }
    }
}
