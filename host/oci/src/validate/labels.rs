//! The labels that rebasing, inspecting and layer reuse live on (CNB platform specification, "Labels").

use serde_json::Value;
use stave_lifecycle::image::Image;
use stave_model::image::{
    BUILD_LABEL, LIFECYCLE_LABEL, LifecycleMetadata, PLATFORM_API, PLATFORM_API_EXEC_ENV, PROJECT_LABEL,
};

use super::Findings;

fn label<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    config.pointer("/config/Labels")?.get(name)?.as_str()
}

/// How many layers are the base's, if the image says where it ends.
pub(super) fn base_layers(config: &Value, image: &Image) -> Option<usize> {
    let metadata: LifecycleMetadata = serde_json::from_str(label(config, LIFECYCLE_LABEL)?).ok()?;
    let top = metadata.run_image.top_layer;
    image.layers.iter().position(|layer| layer.diff_id.to_string() == top).map(|top| top + 1)
}

/// Checks the labels of an image that has them.
pub(super) fn check(config: &Value, image: &Image, findings: &mut Findings) {
    for name in [BUILD_LABEL, PROJECT_LABEL] {
        if let Some(text) = label(config, name) {
            let is_object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
            findings.expect(is_object, "labels", || format!("{name} is not a JSON object"));
        }
    }
    let Some(text) = label(config, LIFECYCLE_LABEL) else { return };
    match serde_json::from_str::<LifecycleMetadata>(text) {
        Ok(metadata) => check_metadata(&metadata, config, image, findings),
        Err(error) => findings.add("labels", format!("{LIFECYCLE_LABEL} cannot be read: {error}")),
    }
}

fn check_metadata(metadata: &LifecycleMetadata, config: &Value, image: &Image, findings: &mut Findings) {
    let launched = metadata.buildpacks.iter().flat_map(|buildpack| {
        let layers = buildpack.layers.iter().filter(|(_, entry)| entry.usage.launch);
        layers.map(|(name, entry)| (format!("{}:{name}", buildpack.key), entry.sha.clone()))
    });
    let sbom = metadata.sbom.iter().map(|layer| ("sbom".to_owned(), layer.sha.clone()));
    let app = metadata.app.iter().map(|layer| ("app".to_owned(), layer.sha.clone()));
    let parts =
        [("config", &metadata.config), ("launcher", &metadata.launcher), ("process-types", &metadata.process_types)];
    // An image without processes has no layer of them.
    let parts = parts.into_iter().filter(|(name, layer)| *name != "process-types" || !layer.sha.is_empty());
    let parts = parts.map(|(name, layer)| (name.to_owned(), layer.sha.clone()));
    let top = [("runImage.topLayer".to_owned(), metadata.run_image.top_layer.clone())];
    let diff_ids: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    for (what, sha) in launched.chain(app).chain(sbom).chain(parts).chain(top) {
        findings.expect(diff_ids.contains(&sha), "labels", || {
            format!("{what} says {}, which is no layer of the image", sha.escape_debug())
        });
    }
    findings.expect(!metadata.app.is_empty(), "labels", || "the app has no layer".to_owned());
    let env = config.pointer("/config/Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let api = env.filter_map(|entry| entry.strip_prefix("CNB_PLATFORM_API=")).next_back();
    findings.expect(api == Some(PLATFORM_API) || api == Some(PLATFORM_API_EXEC_ENV), "configuration", || {
        format!("CNB_PLATFORM_API is {api:?}, and rebasing needs {PLATFORM_API}")
    });
}
