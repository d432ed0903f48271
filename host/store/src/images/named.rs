//! One image of the store by its name: where a build goes, and what others stand on.

use std::sync::Arc;

use stave_lifecycle::{
    image::{Image, Index},
    port::{
        bases::{Base, Bases},
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::{Sink, Stored},
    },
};
use stave_model::target::Platform;

use super::ImageStore;

/// The store as the place where one image goes, under a name.
#[derive(Debug, Clone)]
pub struct NamedImage {
    store: Arc<ImageStore>,
    name: String,
}

impl NamedImage {
    /// What is called `name`, or is going to be, in `store`.
    pub fn new(store: ImageStore, name: impl Into<String>) -> Self {
        Self { store: Arc::new(store), name: name.into() }
    }
}

impl Sink for NamedImage {
    fn describe(&self) -> String {
        format!("{} in the image store", self.name)
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        Ok(Stored { digest: self.store.put(&self.name, image, observer, cancel)? })
    }

    fn holds_platforms(&self) -> bool {
        true
    }

    fn put_platforms(&self, images: &[Image], observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        for image in images {
            self.store.put(&self.name, image, observer, cancel)?;
        }
        // A name has an image for each platform here; what the index would be is what it becomes where it is sent to.
        Ok(Stored { digest: Index::of(images).descriptor().digest })
    }
}

impl Bases for NamedImage {
    fn base(&self, platform: &Platform) -> Result<Base, PortError> {
        let name = self.name.clone();
        if let Some(image) = self.store.get_whole(&name, platform)? {
            let reference = format!("{name}@{}", image.digest());
            return Ok(Base { image, name, reference });
        }
        let entries = self.store.list()?;
        let others = entries.iter().filter(|entry| entry.name == name).map(|entry| entry.platform.to_string());
        let others: Vec<String> = others.collect();
        let shown = name.escape_debug();
        Err(if others.is_empty() {
            PortError::new(Fault::NotFound, format!("there is no image `{shown}` in the image store"))
        } else {
            let hint = format!("it is there for {}", others.join(", "));
            PortError::new(Fault::NotFound, format!("the image `{shown}` is not there for {platform}")).hint(hint)
        })
    }
}
