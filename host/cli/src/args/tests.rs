//! What can be typed, and what cannot be meant.

use clap::CommandFactory;

use super::{records::BuildRecords, *};

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

fn typed(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

#[test]
fn a_build_is_of_an_app_or_a_word_about_builds() {
    let Command::Build(BuildCommand::App(build)) = typed("stave build app -t a --output json").unwrap() else {
        panic!("it is an app");
    };
    assert_eq!((build.recipe.source.app, build.tag), (PathBuf::from("app"), vec!["a".to_owned()]));
    for line in ["stave builds list", "stave build list web -A", "stave bld list -n team-a"] {
        assert!(matches!(typed(line), Ok(Command::Build(BuildCommand::Records(BuildRecords::List(_))))), "{line}");
    }
    let Command::Build(BuildCommand::App(build)) = typed("stave build ./list").unwrap() else {
        panic!("it is a folder");
    };
    assert_eq!(build.recipe.source.app, PathBuf::from("./list"));
    for line in ["stave build", "stave build -t a", "stave build logs", "stave build app list"] {
        assert!(typed(line).is_err(), "{line}");
    }
}

#[test]
fn what_kp_is_told_is_understood() {
    for line in [
        "stave clusterstack create s --build-image r.example.com/b --run-image r.example.com/r@sha256:0",
        "stave csk update s -b r.example.com/b -r r.example.com/r --dry-run-with-image-upload --output yaml",
        "stave clusterstore add default -b r.example.com/a,r.example.com/b -b r.example.com/c",
        "stave cstr remove default -b acme/tool@1.0.0 --dry-run",
        "stave cb create default --tag r.example.com/b --stack default --store default --order order.yaml",
        "stave clusterbuilder patch default -b acme/a@1.0.0,acme/b --output json",
        "stave bldr create mine -t r.example.com/b -s default -o - --service-account me -n team --dry-run",
        "stave builder create builder.toml --platform linux/arm64 --output json",
        "stave builder save mine --order-from r.example.com/b",
        "stave image create web -c default --tag r.example.com/web --local-path web.jar -w",
        "stave img create web -t r.example.com/web --git https://git.example.com/web --git-revision v1 -b mine -e A=b -s db",
        "stave image save web --blob https://example.com/a.zip -c default --cache-size 3G",
        "stave image patch web --cluster-builder default -d A --delete-service-binding db",
        "stave image list -A --filter ready=true --filter latest-reason=commit,config",
        "stave image trigger web -n team",
        "stave build logs web -b 2 -t",
        "stave build status web -b 2",
        "stave secret create mine --registry r.example.com --registry-user me --dry-run --output yaml",
        "stave secret create git --git-url git@git.example.com --git-ssh-key id",
        "stave secret create hub --dockerhub me --registry r.example.com",
        "stave secret create db --service-binding db -n team",
        "stave secrets list --service-account me -n team",
        "stave config default-repository r.example.com/a",
        "stave cfg csa me --service-account-namespace team",
        "stave clusterbuildpack create java --image r.example.com/java:1 --dry-run --output yaml",
        "stave cbp patch java -i r.example.com/java:2 -w",
        "stave clstrbps save java",
        "stave cbps list --output json",
        "stave bp create java -i r.example.com/java --service-account me -n team",
        "stave bps save java --image r.example.com/java -n team --output json",
        "stave buildpacks list -n team",
        "stave buildpack status java -n team",
        "stave buildpack delete java -n team",
        "stave import -f - --show-changes --force --registry-verify-certs",
        "stave import --filename deps.yaml --dry-run --registry-ca-cert-path ca.pem",
    ] {
        assert!(typed(line).is_ok(), "{line}: {}", typed(line).unwrap_err());
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for line in [
        "stave clusterstack create s -b r.example.com/b",
        "stave clusterbuilder create b -s default",
        "stave clusterbuildpack create java",
        "stave buildpack create java -n team",
        "stave clusterbuildpack create java --image r.example.com/java -n team",
        "stave clusterbuilder create b --order o.yaml -b acme/a",
        "stave builder create builder.toml --stack default",
        "stave builder create mine --buildpack acme/a --platform linux/amd64",
        "stave image create web --git https://git.example.com/web",
        "stave image create web -t r.example.com/web",
        "stave image create web -t r.example.com/web --git https://git.example.com/web --blob https://example.com/a",
        "stave image create web -t r.example.com/web --blob https://example.com/a --git-revision main",
        "stave image create Web -t r.example.com/web --blob https://example.com/a",
        "stave image create web -t r.example.com/web --blob https://example.com/a -b x -c y",
        "stave image patch web -t r.example.com/web",
        "stave image patch web -c default",
        "stave image list -A -n team",
        "stave secret create mine --registry r.example.com",
        "stave secret create mine --dockerhub me --git-url git@git.example.com",
        "stave import -f a --dry-run --dry-run-with-image-upload",
        "stave import -f a --registry-verify-certs=false",
        "stave config concurrency 0",
        "stave config namespace-concurrency 0",
        "stave config stop-outdated maybe",
        "stave apply",
    ] {
        assert!(typed(line).is_err(), "{line}");
    }
}
