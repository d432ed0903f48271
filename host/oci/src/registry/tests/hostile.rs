//! Registries that lie, stall, or want what is not theirs: the cases N1 to N25 of bad input from registries, manifests and
//! layouts that images have to survive.
//!
//! | Case | What comes | Test |
//! |---|---|---|
//! | N1 | other bytes than the digest, more, fewer | `pulls::n01_*` |
//! | N2 | sizes below 1 or beyond all measure; a body without end | `pulls::n02_*` |
//! | N3 | documents too large, too long, too deep, with keys twice | `documents::n03_*` |
//! | N4 | a manifest that is an index too; other media types, or none | `documents::n04_*` |
//! | N5 | indexes in indexes | `documents::n05_*` |
//! | N6 | digests that are paths, or none | `documents::n06_*` |
//! | N7 | configurations that do not describe the layers | `documents::n07_*` |
//! | N8 | layers whose diffID is another's | `documents::n08_*` |
//! | N9 | a tag that moves within a pull | `pulls::n09_*` |
//! | N10 | a tag that leads to an older image | only a lock can say what is older: `n10_*` of the model's `lock::compare` and of the program's tests, `lock` |
//! | N11 | redirects into private networks | `elsewhere::n11_*`; forms of addresses and rebinding in the transport's own tests |
//! | N12 | an upload's location on another host | `elsewhere::n12_*` |
//! | N13 | token services elsewhere | `elsewhere::n13_*` |
//! | N14 | credentials asked for by whoever a redirect leads to | `elsewhere::n14_*` |
//! | N15 | layers with `urls` | `elsewhere::n15_*` |
//! | N16 | tokens too large, none, aged | `pulls::n16_*` |
//! | N17 | long waits, endless trouble, pages instead of documents | `pulls::n17_*` |
//! | N18 | a byte now and then | the transport's `n18_a_trickle_is_told_from_a_stream`: it is about time alone |
//! | N19 | ranges that are not the ones asked for | `pulls::n19_*` |
//! | N20 | an upload's offset that is not ours | `uploads::n20_*` |
//! | N21 | blobs that are only said to be there | `pushes::n21_*` |
//! | N22 | another digest for our manifest | `pushes::n22_*` |
//! | N23 | TLS that is not to be trusted | `elsewhere::n23_*`; real certificates in the program's tests, `registry::n23_*` |
//! | N24 | layouts with links, folders and torn files | `layout::tests::n24_*` |
//! | N25 | endless lists of referrers, and such as lead to themselves | `referrers::n25_*`, `super::signatures::n25_*` |

mod documents;
mod elsewhere;
mod pulls;
mod pushes;
mod referrers;

use super::*;

/// What a registry says instead of the truth.
type Lie = fn(&Asked) -> Option<Reply>;

fn pull_against(guard: Guard, login: Option<&str>, hook: Hook) -> (World, PortError) {
    let world = world(guard, login, Some(hook));
    let error = world.pull("app:1").unwrap_err();
    (world, error)
}

#[test]
fn hostile_answers_to_a_pull_end_in_words() {
    let answers: [(&str, Lie); 7] = [
        ("endless manifest", |_| Some(Reply::ok("{").fault(Trouble::Endless))),
        ("html", |_| Some(Reply::ok("<html>").header("content-type", "text/html"))),
        ("image and index", |_| {
            Some(Reply::ok(r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#).header("content-type", MANIFEST))
        }),
        ("not there", |_| None),
        ("realm elsewhere", |_| {
            Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"http://auth.example.com/token\""))
        }),
        ("realm is a file", |_| {
            Some(Reply::new(401, "").header("www-authenticate", "Bearer realm=\"file:///etc/passwd\""))
        }),
        ("never satisfied", |asked| {
            let host = asked.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            Some(if asked.path.starts_with("/token") {
                Reply::ok("{\"token\":\"t\"}")
            } else {
                Reply::new(401, "").header("www-authenticate", &challenge)
            })
        }),
    ];
    let shown = answers.map(|(name, answer)| {
        let (world, error) = pull_against(Guard::Open, Some(ME), Box::new(answer));
        format!("{name}: {}", world.told(&error))
    });
    insta::assert_snapshot!(shown.join("\n\n"), @"
    endless manifest: could not pull the image `HOST/app:1`
    caused by: http://HOST/v2/app/manifests/1 is larger than the 4194304 bytes allowed

    html: could not use the image `HOST/app:1`
    caused by: the manifest cannot be read
    caused by: it is not the JSON it should be
    caused by: expected value at line 1 column 1

    image and index: could not use the image `HOST/app:1`
    caused by: the manifest is ambiguous: it is a manifest and an index at once

    not there: could not pull the image `HOST/app:1`
    caused by: HOST: unknown to registry (MANIFEST_UNKNOWN)
    caused by: http://HOST/v2/app/manifests/1 answered 404 (not found)

    realm elsewhere: could not pull the image `HOST/app:1`
    caused by: the registry's token service `http://auth.example.com/token` is not asked: it would be spoken to without encryption

    realm is a file: could not pull the image `HOST/app:1`
    caused by: the registry's token service `file:///etc/passwd` is not asked: only http and https are spoken

    never satisfied: could not pull the image `HOST/app:1`
    caused by: http://HOST/v2/app/manifests/1 answered 401 (unauthorised)
    hint: the login kept for HOST may not do this, or is no longer good: docker login HOST
    ");
}
