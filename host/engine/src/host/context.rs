//! `context`: the target, the execution environment and the settings.

use stave_model::target;

use super::contract::stave::buildpack::context::{Host, Target};
use crate::guest::{CallError, Guest};

impl From<&target::Target> for Target {
    fn from(target: &target::Target) -> Self {
        let target::Target { platform, distro } = target.clone();
        let (distro_name, distro_version) = distro.map(|distro| (distro.name, distro.version)).unzip();
        Self { os: platform.os, arch: platform.arch, variant: platform.variant, distro_name, distro_version }
    }
}

impl Host for Guest {
    fn build_target(&mut self) -> wasmtime::Result<Target> {
        self.last_words.forget();
        Ok(self.bench.target().into())
    }

    fn exec_env(&mut self) -> wasmtime::Result<String> {
        self.last_words.forget();
        Ok(self.bench.exec_env().to_string())
    }

    fn setting(&mut self, name: String) -> Result<Option<String>, CallError> {
        self.ask(|bench| bench.setting(&name))
    }

    fn settings(&mut self, prefix: String) -> Result<Vec<(String, String)>, CallError> {
        self.ask(|bench| bench.settings(&prefix))
    }

    fn notes(&mut self) -> Result<Vec<(String, String)>, CallError> {
        self.ask(stave_lifecycle::workbench::Workbench::notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stave_model::target::Distro;

    #[test]
    fn a_target_keeps_what_it_says() {
        let distro = Some(Distro { name: "debian".to_owned(), version: "12".to_owned() });
        let full = target::Target { platform: "linux/arm64/v8".parse().unwrap(), distro };
        let Target { os, arch, variant, distro_name, distro_version } = Target::from(&full);
        let all = [Some(os), Some(arch), variant, distro_name, distro_version].map(Option::unwrap);
        assert_eq!(all, ["linux", "arm64", "v8", "debian", "12"]);
        let bare = target::Target { platform: "linux/amd64".parse().unwrap(), distro: None };
        let bare = Target::from(&bare);
        assert_eq!((bare.variant, bare.distro_name, bare.distro_version), (None, None, None));
    }
}
