//! `sbom`: what is in layers.

use stave_lifecycle::workbench;
use wasmtime::component::Resource;

use super::contract::stave::buildpack::sbom::{Host, Part};
use crate::guest::{CallError, Guest, Layer};

impl From<Part> for workbench::Part {
    fn from(part: Part) -> Self {
        let Part { name, version, purl, licenses } = part;
        Self { name, version, purl, licenses }
    }
}

impl Host for Guest {
    fn add(&mut self, to: Resource<Layer>, parts: Vec<Part>) -> Result<(), CallError> {
        let layer = self.held(&to)?.0;
        self.ask(|bench| bench.layer_add_parts(layer, parts.into_iter().map(Into::into).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_keeps_what_it_says() {
        let text = |text: &str| text.to_owned();
        let (purl, licenses) = (Some(text("pkg:npm/a@1")), vec![text("MIT")]);
        let part = Part { name: text("a"), version: text("1"), purl: purl.clone(), licenses: licenses.clone() };
        let expected = workbench::Part { name: text("a"), version: text("1"), purl, licenses };
        assert_eq!(workbench::Part::from(part), expected);
    }
}
