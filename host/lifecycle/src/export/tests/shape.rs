//! What an image looks like: layers, configuration and labels.

use super::*;

#[test]
fn layers_stand_in_the_lifecycle_s_order() {
    let yard = Yard::new();
    let image = yard.export(&simple()).unwrap();
    let history = config(&image)["history"].clone();
    let by: Vec<&str> = history.as_array().unwrap().iter().map(|e| e["created_by"].as_str().unwrap()).collect();
    insta::assert_snapshot!(by.join("\n"), @r#"
    base
    Layer: 'cds', Created by buildpack: acme/tool@1.2.3
    Layer: 'jre', Created by buildpack: acme/tool@1.2.3
    Application Layer
    Buildpacks Application Launcher
    Buildpacks Launcher Config
    Buildpacks Process Types
    "#);
    let shown: Vec<String> = image.layers[1..].iter().map(|layer| entries(layer).join("\n")).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
    755 1001:1000 /layers
    755 1001:1000 /layers/acme_tool
    755 1001:1000 /layers/acme_tool/cds
    755 1001:1000 /layers/acme_tool/cds/bin
    755 1001:1000 /layers/acme_tool/cds/bin/run = #!cds

    755 1001:1000 /layers
    755 1001:1000 /layers/acme_tool
    755 1001:1000 /layers/acme_tool/jre
    755 1001:1000 /layers/acme_tool/jre/bin
    755 1001:1000 /layers/acme_tool/jre/bin/run = #!jre
    755 1001:1000 /layers/acme_tool/jre/env.launch
    644 1001:1000 /layers/acme_tool/jre/env.launch/JAVA_TOOL_OPTIONS.append = -Xss1m
    644 1001:1000 /layers/acme_tool/jre/env.launch/JAVA_TOOL_OPTIONS.delim =  

    755 1001:1000 /workspace
    644 1001:1000 /workspace/app.jar = jar
    755 1001:1000 /workspace/lib
    644 1001:1000 /workspace/lib/a.jar = a
    777 1001:1000 /workspace/link -> app.jar
    755 1001:1000 /workspace/run.sh = #!sh

    755 0:0 /cnb
    755 0:0 /cnb/lifecycle
    755 0:0 /cnb/lifecycle/launcher = launcher for this platform

    755 1001:1000 /layers
    755 1001:1000 /layers/config
    644 1001:1000 /layers/config/metadata.toml = buildpack-default-process-type = \"web\"\n\n[[buildpacks]]\nid = \"acme/tool\"\nversion = \"1.2.3\"\napi = \"0.10\"\n\n[[buildpacks]]\nid = \"acme/last\"\nversion = \"0.1.0\"\napi = \"0.10\"\n\n[[labels]]\nkey = \"org.example.a\"\nvalue = \"1\"\n\n[[processes]]\ntype = \"task\"\ncommand = [\"java\"]\nargs = [\"-jar\", \"app.jar\"]\ndirect = true\nbuildpack-id = \"acme/tool\"\n\n[[processes]]\ntype = \"web\"\ncommand = [\"java\"]\nargs = [\"-jar\", \"app.jar\"]\ndirect = true\nbuildpack-id = \"acme/tool\"\n

    755 0:0 /cnb
    755 0:0 /cnb/process
    755 0:0 /cnb/process/task -> /cnb/lifecycle/launcher
    755 0:0 /cnb/process/web -> /cnb/lifecycle/launcher
    "#);
}

#[test]
fn the_configuration_is_the_lifecycle_s() {
    let image = Yard::new().export(&simple()).unwrap();
    let mut value = config(&image);
    let labels = value["config"]["Labels"].as_object_mut().unwrap();
    for name in [LIFECYCLE_LABEL, BUILD_LABEL] {
        labels[name] = json!("{…}");
    }
    insta::assert_snapshot!(by_place(&image, serde_json::to_string_pretty(&value).unwrap()), @r#"
    {
      "architecture": "amd64",
      "config": {
        "Entrypoint": [
          "/cnb/process/web"
        ],
        "Env": [
          "PATH=/cnb/process:/cnb/lifecycle:/bin",
          "CNB_USER_ID=1001",
          "CNB_GROUP_ID=1000",
          "CNB_LAYERS_DIR=/layers",
          "CNB_APP_DIR=/workspace",
          "CNB_PLATFORM_API=0.14",
          "CNB_DEPRECATION_MODE=quiet"
        ],
        "Labels": {
          "io.buildpacks.base.distro.name": "debian",
          "io.buildpacks.build.metadata": "{…}",
          "io.buildpacks.lifecycle.metadata": "{…}",
          "io.buildpacks.project.metadata": "{}",
          "org.example.a": "1"
        },
        "User": "1001:1000",
        "WorkingDir": "/workspace"
      },
      "created": "1980-01-01T00:00:01Z",
      "history": [
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "base"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Layer: 'cds', Created by buildpack: acme/tool@1.2.3"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Layer: 'jre', Created by buildpack: acme/tool@1.2.3"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Application Layer"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Application Launcher"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Launcher Config"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Process Types"
        }
      ],
      "os": "linux",
      "rootfs": {
        "diff_ids": [
          "<layer 0>",
          "<layer 1>",
          "<layer 2>",
          "<layer 3>",
          "<layer 4>",
          "<layer 5>",
          "<layer 6>"
        ],
        "type": "layers"
      }
    }
    "#);
}

#[test]
fn the_label_for_rebasing_names_every_layer() {
    let image = Yard::new().export(&simple()).unwrap();
    insta::assert_snapshot!(label(&image, LIFECYCLE_LABEL), @r#"
    {
      "app": [
        {
          "sha": "<layer 3>"
        }
      ],
      "buildpacks": [
        {
          "key": "acme/tool",
          "layers": {
            "cds": {
              "build": false,
              "cache": true,
              "data": {},
              "launch": true,
              "sha": "<layer 1>"
            },
            "jre": {
              "build": false,
              "cache": false,
              "data": {
                "version": "21"
              },
              "launch": true,
              "sha": "<layer 2>"
            }
          },
          "store": {
            "metadata": {
              "seen": "yes"
            }
          },
          "version": "1.2.3"
        },
        {
          "key": "acme/last",
          "layers": {},
          "version": "0.1.0"
        }
      ],
      "config": {
        "sha": "<layer 5>"
      },
      "launcher": {
        "sha": "<layer 4>"
      },
      "process-types": {
        "sha": "<layer 6>"
      },
      "runImage": {
        "image": "stave/tiny",
        "reference": "stave/tiny@sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
        "topLayer": "<layer 0>"
      },
      "stack": {
        "runImage": {
          "image": "stave/tiny",
          "mirrors": []
        }
      }
    }
    "#);
}

#[test]
fn the_label_for_people_names_processes_and_buildpacks() {
    let image = Yard::new().export(&simple()).unwrap();
    insta::assert_snapshot!(label(&image, BUILD_LABEL), @r#"
    {
      "buildpack-default-process-type": "web",
      "buildpacks": [
        {
          "id": "acme/tool",
          "version": "1.2.3"
        },
        {
          "id": "acme/last",
          "version": "0.1.0"
        }
      ],
      "launcher": {
        "version": "0.1.0"
      },
      "processes": [
        {
          "args": [
            "-jar",
            "app.jar"
          ],
          "buildpackID": "acme/tool",
          "command": [
            "java"
          ],
          "direct": true,
          "type": "task"
        },
        {
          "args": [
            "-jar",
            "app.jar"
          ],
          "buildpackID": "acme/tool",
          "command": [
            "java"
          ],
          "direct": true,
          "type": "web"
        }
      ]
    }
    "#);
}

#[test]
fn the_manifest_names_the_configuration_and_the_layers() {
    let image = Yard::new().export(&simple()).unwrap();
    let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    assert_eq!(manifest["config"]["digest"], json!(Digest::of(&image.config)));
    let digests: Vec<Value> = image.layers.iter().map(|layer| json!(layer.descriptor.digest)).collect();
    assert_eq!(manifest["layers"].as_array().unwrap().iter().map(|l| l["digest"].clone()).collect::<Vec<_>>(), digests);
}

#[test]
fn without_processes_there_is_no_layer_for_them() {
    let mut built = simple();
    built.launch.processes.clear();
    built.launch.default = None;
    let image = Yard::new().export(&built).unwrap();
    let lifecycle: Value = serde_json::from_str(&label(&image, LIFECYCLE_LABEL)).unwrap();
    assert_eq!(lifecycle["process-types"], json!({ "sha": "" }));
    assert_eq!(config(&image)["config"]["Entrypoint"], json!(["/cnb/lifecycle/launcher"]));
    assert_eq!(image.layers.len(), 1 + 2 + 1 + 2, "base, buildpack, app, launcher and config");
}

/// Content of one letter.
#[derive(Debug)]
struct Monotone(u64);

impl Content for Monotone {
    fn size(&self) -> u64 {
        self.0
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(std::io::repeat(b'x').take(self.0)))
    }
}

#[test]
fn a_large_layer_tells_how_far_it_is() {
    let yard = Yard::new();
    let size = 66 << 20;
    let mut app = Tree::new();
    app.insert("big".parse().unwrap(), Node::file(std::sync::Arc::new(Monotone(size)), false)).unwrap();
    yard.export(&built(app)).unwrap();
    let mut last = 0;
    let mut ended = false;
    for event in yard.observer.take() {
        match event {
            Event::Progress { what, done, total } => {
                assert_eq!((what.as_str(), total), ("write the layer app", Some(size)));
                assert!(done > last || done == size, "{done} after {last}");
                assert!(!ended);
                last = done;
            }
            Event::ProgressEnd { what } => {
                assert_eq!(what, "write the layer app");
                ended = true;
            }
            _ => {}
        }
    }
    assert!(ended && last == size);
}

#[test]
fn slices_are_layers_and_an_empty_one_is_too() {
    let mut built = simple();
    let slice = |path: &str| Slice { paths: vec![path.to_owned()] };
    built.launch.slices = vec![slice("lib/"), slice("nothing")];
    let image = Yard::new().export(&built).unwrap();
    let lifecycle: Value = serde_json::from_str(&label(&image, LIFECYCLE_LABEL)).unwrap();
    assert_eq!(lifecycle["app"], json!([{ "sha": "<layer 3>" }, { "sha": "<layer 4>" }, { "sha": "<layer 5>" }]));
    let paths = |place: usize| entries(&image.layers[place]).join(", ");
    insta::assert_snapshot!([paths(3), paths(4), paths(5)].join("\n"), @r#"
    755 1001:1000 /workspace, 755 1001:1000 /workspace/lib, 644 1001:1000 /workspace/lib/a.jar = a

    755 1001:1000 /workspace, 644 1001:1000 /workspace/app.jar = jar, 777 1001:1000 /workspace/link -> app.jar, 755 1001:1000 /workspace/run.sh = #!sh
    "#);
}

#[test]
fn a_base_of_docker_s_words_is_said_in_oci_s() {
    let mut base = base();
    base.image.layers[0].descriptor.media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
    let yard = Yard::new();
    let ports = Ports {
        blobs: &yard.memory,
        results: &yard.memory,
        observer: &yard.observer,
        cancel: &yard.cancel,
        launcher: LAUNCHER,
        launcher_version: "0.1.0",
        packing: Packing::GZIP,
    };
    let image = export(&ports, &base, &simple()).unwrap();
    assert_eq!(image.layers[0].descriptor.media_type, LAYER_GZIP);
    base.image.config = b"[]".to_vec();
    insta::assert_snapshot!(told(&export(&ports, &base, &simple()).unwrap_err()), @r#"
    could not put the layers on the base image
      caused by: the base image's configuration is not a JSON object
    "#);
}
