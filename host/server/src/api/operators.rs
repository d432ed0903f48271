//! What operators keep: builders, stacks, stores and buildpacks of all namespaces.

use serde_json::{Value, json};
use stave_platform::{
    decide::BuilderState,
    plan::world::BuilderKey,
    port::records::{BuilderRecord, Id, PackageRecord, Seen, Snapshot, StackRecord, StoreRecord},
    resource::{image::Metadata, name::Name, package::PackageKey},
};

use super::{OURS, Page, value};
use crate::{
    App,
    answer::Answer,
    call::{Call, applied},
    trouble::Trouble,
};

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Builder,
    Stack,
    Store,
    Package,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Builder => "ClusterBuilder",
            Self::Stack => "ClusterStack",
            Self::Store => "ClusterStore",
            Self::Package => "ClusterBuildpack",
        }
    }

    fn id(self, name: Name) -> Id {
        match self {
            Self::Builder => Id::Builder(BuilderKey { namespace: None, name }),
            Self::Stack => Id::Stack(name),
            Self::Store => Id::Store(name),
            Self::Package => Id::Package(PackageKey { namespace: None, name }),
        }
    }

    fn names(self, snapshot: &Snapshot) -> Vec<Name> {
        match self {
            Self::Builder => {
                let of_all = snapshot.builders.keys().filter(|key| key.namespace.is_none());
                of_all.map(|key| key.name.clone()).collect()
            }
            Self::Stack => snapshot.stacks.keys().cloned().collect(),
            Self::Store => snapshot.stores.keys().cloned().collect(),
            Self::Package => {
                let of_all = snapshot.packages.keys().filter(|key| key.namespace.is_none());
                of_all.map(|key| key.name.clone()).collect()
            }
        }
    }

    fn document(self, snapshot: &Snapshot, name: &Name) -> Result<Value, Trouble> {
        let document = match self {
            Self::Builder => {
                let key = BuilderKey { namespace: None, name: name.clone() };
                snapshot.builders.get(&key).map(builder_document)
            }
            Self::Stack => snapshot.stacks.get(name).map(stack_document),
            Self::Store => snapshot.stores.get(name).map(store_document),
            Self::Package => {
                let key = PackageKey { namespace: None, name: name.clone() };
                snapshot.packages.get(&key).map(package_document)
            }
        };
        document.unwrap_or_else(|| Err(Trouble::missing(format_args!("{} {name}", self.as_str()))))
    }

    fn list(self, app: &App, call: &Call) -> Result<Answer, Trouble> {
        let page = Page::of(call)?;
        let snapshot = app.snapshot()?;
        page.list(&self.names(&snapshot), |name| self.document(&snapshot, name))
    }

    fn show(self, app: &App, call: &Call) -> Result<Answer, Trouble> {
        let name = call.name("name")?;
        Ok(Answer::json(self.document(&*app.snapshot()?, &name)?))
    }

    fn apply(self, app: &App, call: &Call) -> Result<Answer, Trouble> {
        let name = call.name("name")?;
        let resource = call.manifest(self.as_str(), &name, None)?;
        let came = app.services.records.apply_over(&resource, call.over()?)?;
        Ok(Answer::json(self.document(&*app.snapshot()?, &name)?).with(applied(came)))
    }

    fn remove(self, app: &App, call: &Call) -> Result<Answer, Trouble> {
        let name = call.name("name")?;
        if app.services.records.remove(&self.id(name.clone()))? {
            return Ok(Answer::done());
        }
        Err(Trouble::missing(format_args!("{} {name}", self.as_str())))
    }
}

macro_rules! handlers {
    ($kind:ident: $list:ident, $show:ident, $apply:ident, $remove:ident) => {
        pub(crate) fn $list(app: &App, call: &Call) -> Result<Answer, Trouble> {
            Kind::$kind.list(app, call)
        }

        pub(crate) fn $show(app: &App, call: &Call) -> Result<Answer, Trouble> {
            Kind::$kind.show(app, call)
        }

        pub(crate) fn $apply(app: &App, call: &Call) -> Result<Answer, Trouble> {
            Kind::$kind.apply(app, call)
        }

        pub(crate) fn $remove(app: &App, call: &Call) -> Result<Answer, Trouble> {
            Kind::$kind.remove(app, call)
        }
    };
}

handlers!(Builder: builders, builder, apply_builder, remove_builder);
handlers!(Stack: stacks, stack, apply_stack, remove_stack);
handlers!(Store: stores, store, apply_store, remove_store);
handlers!(Package: packages, package, apply_package, remove_package);

/// A manifest with its `status`.
fn manifest(kind: Kind, metadata: &Metadata, spec: &Value, status: &Value) -> Result<Value, Trouble> {
    let (kind, metadata) = (kind.as_str(), value(metadata)?);
    Ok(json!({ "apiVersion": OURS, "kind": kind, "metadata": metadata, "spec": spec, "status": status }))
}

/// A condition, as images have them.
fn condition(kind: &str, status: &str, message: Option<&str>) -> Value {
    match message {
        Some(message) => json!({ "type": kind, "status": status, "message": crate::trouble::plain(message) }),
        None => json!({ "type": kind, "status": status }),
    }
}

fn builder_document(record: &BuilderRecord) -> Result<Value, Trouble> {
    let state = record.state();
    let mut status = json!({ "observedGeneration": record.made.generation });
    status["conditions"] = match &state {
        BuilderState::Ready { behind: None, .. } => {
            json!([condition("Ready", "True", None), condition("UpToDate", "True", None)])
        }
        BuilderState::Ready { behind, .. } => {
            json!([condition("Ready", "True", None), condition("UpToDate", "False", behind.as_deref())])
        }
        BuilderState::NotReady(why) => json!([condition("Ready", "False", Some(why))]),
        BuilderState::Stale | BuilderState::Missing => json!([condition("Ready", "Unknown", None)]),
    };
    if let BuilderState::Ready { revision, .. } = &state {
        status["latestImage"] = json!(revision.image);
        status["artefact"] = json!(revision.artefact);
        status["stack"] = json!({ "id": revision.stack_id, "runImage": revision.run_image });
        status["builderMetadata"] = json!(revision.buildpacks);
        status["order"] = json!(revision.order);
        status["lifecycle"] = json!({ "version": revision.lifecycle });
    }
    status["revisions"] = json!(record.made.revisions.iter().map(|one| one.number).collect::<Vec<_>>());
    manifest(Kind::Builder, &record.builder.metadata, &value(&record.builder.spec)?, &status)
}

/// What was seen, as a `status`.
fn seen<T>(seen: &Seen<T>, generation: u64) -> Value {
    let ready = match (&seen.found, &seen.failure) {
        _ if seen.generation != generation => condition("Ready", "Unknown", None),
        (_, Some(why)) => condition("Ready", "False", Some(why)),
        (Some(_), None) => condition("Ready", "True", None),
        (None, None) => condition("Ready", "Unknown", None),
    };
    json!({ "observedGeneration": seen.generation, "conditions": [ready] })
}

fn stack_document(record: &StackRecord) -> Result<Value, Trouble> {
    let mut status = seen(&record.seen, record.stack.metadata.generation);
    if let Some(found) = &record.seen.found {
        status["id"] = json!(found.id);
        status["runImage"] = json!({ "latestImage": found.run_image });
    }
    manifest(Kind::Stack, &record.stack.metadata, &value(&record.stack.spec)?, &status)
}

fn store_document(record: &StoreRecord) -> Result<Value, Trouble> {
    let mut status = seen(&record.seen, record.store.metadata.generation);
    if let Some(found) = &record.seen.found {
        status["buildpacks"] = value(found)?;
    }
    manifest(Kind::Store, &record.store.metadata, &value(&record.store.spec)?, &status)
}

fn package_document(record: &PackageRecord) -> Result<Value, Trouble> {
    let mut status = seen(&record.seen, record.package.metadata.generation);
    if let Some(found) = &record.seen.found {
        status["buildpacks"] = value([found])?;
    }
    manifest(Kind::Package, &record.package.metadata, &value(&record.package.spec)?, &status)
}
