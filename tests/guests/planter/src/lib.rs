//! A buildpack that makes one folder of the app a launch layer of its own and leaves it out of the app: what buildpacks do that
//! bring a runtime or libraries, without a network. The benchmark gives the one component several manifests; each asks for
//! one of the settings `NAMES`, whose value is the folder. One that asks for none names the process that starts.

use stave_sdk::{
    Buildpack, Failure, Process, Report, Requirement, Verdict, app, context,
    layers::{self, Usage},
    overlay,
};

/// The settings that a manifest may ask for one of.
const NAMES: [&str; 2] = ["BP_PLANT_RUNTIME", "BP_PLANT_LIBRARIES"];

/// Plants.
pub struct Planter;

/// The folder to plant. Who does not ask for a setting is denied it.
fn folder() -> Option<String> {
    NAMES.iter().find_map(|name| context::setting(name).ok().flatten())
}

impl Buildpack for Planter {
    fn detect() -> Result<Verdict, Failure> {
        let Some(folder) = folder() else { return Ok(Verdict::pass()) };
        Ok(match app::stat(&folder)? {
            Some(_) => Verdict::pass(),
            None => Verdict::skip(format!("there is no folder {folder}")),
        })
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        let Some(folder) = folder() else {
            let web = Process::new("web", ["serve"]).default();
            return Ok(Report { processes: vec![web], ..Report::default() });
        };
        layers::create("planted", Usage::LAUNCH)?.copy_app(&[format!("{folder}/**")], "")?;
        overlay::remove(&[&folder])?;
        Ok(Report::default())
    }
}

stave_sdk::export!(Planter);
