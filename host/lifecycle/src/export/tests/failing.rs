//! Full disks, requests to stop, and layers that cannot be.

use super::*;

#[test]
fn a_full_disk_leaves_no_half_layer() {
    let yard = Yard::new();
    yard.memory.fill_up();
    let error = yard.export(&simple()).unwrap_err();
    let said = told(&error);
    let what = said.lines().next().unwrap().trim_start_matches("could not write the layer ").to_owned();
    insta::assert_snapshot!(said.replace(&what, "WHAT"), @r#"
    could not write the layer WHAT
      caused by: could not write a blob
      caused by: no storage space
      hint: make room on the disk
    "#);
    assert_eq!((yard.memory.digests().len(), yard.memory.results()), (0, 0));
}

#[test]
fn a_request_to_stop_keeps_nothing_unfinished() {
    let yard = Yard::new();
    yard.cancel.set();
    assert!(matches!(yard.export(&simple()), Err(ExportError::Cancelled)));
    assert_eq!((yard.memory.digests().len(), yard.memory.results()), (0, 0));
    // In the middle of a layer: its content sets the flag when it is opened.
    let yard = Yard::new();
    let mut app = Tree::new();
    let stops = Stops { cancel: yard.cancel.clone(), size: 4 << 20 };
    app.insert("big".parse().unwrap(), Node::file(std::sync::Arc::new(stops), false)).unwrap();
    let mut built = simple();
    built.app = app;
    assert!(matches!(yard.export(&built), Err(ExportError::Cancelled)));
    let made = yard.made();
    assert!(!made.contains_key("app"));
    // What was finished before may stay: each blob has its result, and a buildpack's layer one more for its reuse.
    let described = made.keys().filter(|what| what.starts_with("acme/")).count();
    assert_eq!(yard.memory.digests().len() + described, yard.memory.results());
    // Everything is kept already, and still nothing is made of it.
    let yard = Yard::new();
    yard.export(&simple()).unwrap();
    yard.cancel.set();
    assert!(matches!(yard.export(&simple()), Err(ExportError::Cancelled)));
}

/// Content during which somebody asks to stop.
#[derive(Debug)]
struct Stops {
    cancel: Cancel,
    size: u64,
}

impl Content for Stops {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        self.cancel.set();
        Ok(Box::new(std::io::repeat(b'x').take(self.size)))
    }

    fn identity(&self) -> std::io::Result<Digest> {
        Ok(Digest::of(b"big"))
    }
}

/// Content that changed after it was indexed.
#[derive(Debug)]
struct Shrunk;

impl Content for Shrunk {
    fn size(&self) -> u64 {
        9
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(&b"short"[..]))
    }

    fn identity(&self) -> std::io::Result<Digest> {
        Ok(Digest::of(b"nine byte"))
    }
}

#[test]
fn says_which_layer_is_wrong_and_why() {
    let yard = Yard::new();
    let mut changed = simple();
    changed.app.insert("f".parse().unwrap(), Node::file(std::sync::Arc::new(Shrunk), false)).unwrap();
    let changed = told(&yard.export(&changed).unwrap_err());
    let whiteout = told(&yard.export(&built(tree(&[(".wh.app.jar", "")]))).unwrap_err());
    let mut environment = simple();
    let jre = environment.parts[0].layers.iter_mut().find(|layer| layer.name.as_str() == "jre").unwrap();
    jre.set_tree(tree(&[("env.launch/JAVA_TOOL_OPTIONS.append", "x")]));
    let environment = told(&yard.export(&environment).unwrap_err());
    let mut slices = simple();
    slices.launch.slices = vec![Slice { paths: vec!["[".to_owned()] }];
    let slices = told(&yard.export(&slices).unwrap_err());
    insta::assert_snapshot!([changed, whiteout, environment, slices].join("\n"), @r#"
    could not write the layer app
      caused by: cannot read `/workspace/f` into a layer
      caused by: it is shorter than it was when it was indexed
    could not write the layer app
      caused by: `/workspace/.wh.app.jar` cannot be in a layer: names that start with `.wh.` remove files
    could not put the environment of acme/tool:jre into its layer
      caused by: `env.launch/JAVA_TOOL_OPTIONS.append` is there twice, or below something that is not a folder
    could not split the app into slices
      caused by: pattern `[` cannot be understood
      caused by: error parsing glob '[': unclosed character class; missing ']'
    "#);
}
