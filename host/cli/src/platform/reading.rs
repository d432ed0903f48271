//! How buildpacks that are named by themselves are read: with the secrets of their service accounts.

use std::{collections::BTreeMap, sync::Arc};

use stave_oci::registry::credentials::Login;
use stave_platform::{
    port::Stocked,
    resource::{
        builder::{Builder, BuilderRevision},
        package::{Package, PackageKind},
    },
};

use super::{getting::Keys, hands::Hands};
use crate::{commands::resources::default_name, exit::Exit, workshop::Workshop};

impl Hands<'_> {
    /// What is in a buildpack's artefact.
    pub(super) fn in_artefact(&self, package: &Package) -> Result<Stocked, Exit> {
        Self::stocked(&self.for_package(package)?, &package.spec.image)
    }

    /// The workshop for reading a buildpack. One of a namespace is its owner's wish, and read as an image's source is; one of all
    /// is an operator's, who may read what this user may.
    fn for_package(&self, package: &Package) -> Result<Workshop, Exit> {
        let mut workshop = self.workshop().beside(Arc::clone(&self.workshop().ui), self.workshop().cancel.clone());
        let (key, spec) = (package.key(), &package.spec);
        match (package.kind, &key.namespace, &spec.service_account_ref) {
            (PackageKind::Buildpack, Some(namespace), _) => {
                let account = spec.service_account_name.clone().unwrap_or_else(default_name);
                let keys = self.keys_of(namespace, account.as_str())?;
                workshop.logins = keys.logins();
                workshop.only_handed = keys.are_others();
                Ok(keys.at(&workshop))
            }
            (_, _, Some(account)) => {
                let keys = Keys::of_account(self.workshop(), &account.namespace, account.name.as_str(), None)?;
                workshop.logins = keys.logins();
                Ok(workshop)
            }
            _ => Ok(workshop),
        }
    }

    /// The workshop for making a builder: with the logins that its buildpacks were found by.
    pub(super) fn for_making(&self, builder: &Builder, revision: &BuilderRevision) -> Result<Workshop, Exit> {
        let mut logins: BTreeMap<String, Login> = BTreeMap::new();
        for (key, record) in self.desk().snapshot()?.packages {
            let is_part = |found: &Stocked| revision.buildpacks.contains(&found.buildpack);
            if key.is_seen_by(builder.metadata.namespace.as_ref()) && record.seen.found.as_ref().is_some_and(is_part) {
                logins.extend(self.for_package(&record.package)?.logins);
            }
        }
        let mut workshop = self.workshop().beside(Arc::clone(&self.workshop().ui), self.workshop().cancel.clone());
        workshop.logins = logins;
        Ok(workshop)
    }
}
