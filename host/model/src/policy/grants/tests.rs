//! Which entries are for whom, what comes of them beside a builder's grants, and which policies are refused.

use std::error::Error as _;

use super::*;

/// A policy with these entries, and the keys `acme` and `other`.
fn policy(grants: &str) -> Policy {
    Policy::parse(&format!("[keys]\nacme = \"acme.pem\"\nother = \"other.pem\"\n{grants}")).unwrap()
}

fn component() -> Digest {
    Digest::of(b"component")
}

fn ceiling(policy: &Policy, bytes: &[u8], signers: &[&str], id: &str) -> Ceiling {
    let signers = signers.iter().map(|signer| (*signer).to_owned()).collect();
    policy.ceiling(&Digest::of(bytes), &signers, &id.parse().unwrap())
}

fn numbers(ceiling: &Ceiling) -> Vec<usize> {
    ceiling.entries.iter().map(|entry| entry.number).collect()
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn an_entry_is_for_a_digest_or_a_signer_and_an_id_only_narrows_it() {
    let policy = policy(&format!(
        r#"
        [[grants]]
        digest = "{digest}"
        interfaces = ["artifacts"]
        ecosystems = ["pypi"]
        [[grants]]
        signer = "acme"
        settings = ["HOME"]
        [[grants]]
        signer = "acme"
        id = "acme/tool"
        bindings = ["maven"]
        [[grants]]
        signer = "other"
        hosts = ["*.example.com"]
        [[grants]]
        digest = "{digest}"
        id = "acme/tool"
        ecosystems = ["npm"]
        "#,
        digest = component(),
    ));
    for (bytes, signers, id, expected) in [
        (&b"component"[..], &[][..], "acme/tool", &[1, 5][..]),
        (b"component", &[], "evil/tool", &[1]),
        (b"another", &[], "acme/tool", &[]),
        (b"another", &["acme"], "acme/tool", &[2, 3]),
        (b"another", &["acme"], "acme/other", &[2]),
        (b"another", &["other"], "acme/tool", &[4]),
        (b"another", &["acme", "other"], "acme/tool", &[2, 3, 4]),
        (b"component", &["acme"], "acme/tool", &[1, 2, 3, 5]),
        (b"another", &["nobody"], "acme/tool", &[]),
    ] {
        let ceiling = ceiling(&policy, bytes, signers, id);
        assert_eq!(numbers(&ceiling), expected, "{signers:?} {id}");
        let allowed = ceiling.entries.iter().map(|entry| &entry.grant.allows);
        assert_eq!(ceiling.allows, allowed.fold(Capabilities::usual(), Capabilities::join));
    }
}

#[test]
fn without_an_entry_there_is_what_is_usual() {
    let ceiling = ceiling(&Policy::default(), b"component", &["acme"], "acme/tool");
    assert_eq!((ceiling.allows, ceiling.entries), (Capabilities::usual(), Vec::new()));
}

/// What a builder grants in these tests.
fn builder() -> Capabilities {
    Capabilities {
        interfaces: [Interface::Layers, Interface::Artifacts].into(),
        ecosystems: words(&["pypi", "npm"]),
        settings: words(&["*"]),
        ..Capabilities::default()
    }
}

/// The builder's grants below a policy with these entries, which are all for the component.
fn within(entries: &str) -> Allowance {
    let entry = format!("[[grants]]\ndigest = \"{}\"\n{entries}\n", component());
    let policy = policy(if entries.is_empty() { "" } else { &entry });
    let ceiling = ceiling(&policy, b"component", &[], "acme/tool");
    Allowance::within(&builder(), Limit { policy: "policy.toml".to_owned(), component: component(), ceiling })
}

#[test]
fn a_builder_s_grants_count_as_far_as_the_policy_goes_along() {
    let alone = Allowance::from(&builder());
    assert_eq!((alone.may(), alone.limit()), (&builder(), None));
    let usual = within("");
    assert_eq!(usual.may().interfaces, [Interface::Layers].into());
    assert_eq!(usual.may().settings, words(&["BP_*", "BPE_*", "BPL_*"]));
    assert_eq!(usual.may().ecosystems, BTreeSet::new());
    let more =
        within("interfaces = [\"artifacts\", \"bindings\"]\necosystems = [\"pypi\", \"maven\"]\nsettings = [\"HOME\"]");
    assert_eq!(
        more.may().interfaces,
        [Interface::Layers, Interface::Artifacts].into(),
        "a policy grants nothing itself"
    );
    assert_eq!(more.may().ecosystems, words(&["pypi"]));
    assert_eq!(more.may().settings, words(&["BP_*", "BPE_*", "BPL_*", "HOME"]));
    assert_eq!(within("settings = [\"*\"]").may().settings, words(&["*", "BP_*", "BPE_*", "BPL_*"]));
    let always = within("").with_always();
    assert!(Interface::ALWAYS.iter().all(|interface| always.may().interfaces.contains(interface)));
}

#[test]
fn who_withholds_something_is_known_and_told_where_to_allow_it() {
    let missing = |names: &str| -> Vec<Excess> {
        let asked: Capabilities = toml::from_str(names).unwrap();
        asked.each()
    };
    let of_policy = missing("interfaces = [\"artifacts\"]\necosystems = [\"pypi\"]\nsettings = [\"HOME\"]");
    let of_both = missing("interfaces = [\"bindings\"]\nbindings = [\"maven\"]\nhosts = [\"d.example.com\"]");
    let of_builder = missing("interfaces = [\"sbom\"]");
    let below = within("");
    let who = |allowance: &Allowance, missing: &[Excess]| -> BTreeSet<Withholder> {
        missing.iter().map(|one| allowance.withholder(one)).collect()
    };
    assert_eq!(who(&below, &of_policy), [Withholder::Policy].into());
    assert_eq!(who(&below, &of_both), [Withholder::Both].into());
    assert_eq!(who(&below, &of_builder), [Withholder::Builder].into());
    let alone = Allowance::from(&builder());
    assert_eq!(who(&alone, &of_both), [Withholder::Builder].into());
    assert_eq!(below.policy_alone(&of_policy), Some("policy.toml"));
    assert_eq!((below.policy_alone(&of_both), alone.policy_alone(&of_both)), (None, None));
    let all = [&of_policy[..], &of_both, &of_builder].concat();
    let said = [
        alone.remedy("it", &of_both),
        below.remedy("acme/tool", &of_policy),
        below.remedy("it", &of_builder),
        below.remedy("it", &all),
    ];
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    whoever trusts it adds interfaces = ["bindings"], bindings = ["maven"], hosts = ["d.example.com"] to its `grants` in the builder

    whoever trusts acme/tool adds to policy.toml:
    [[grants]]
    digest = "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"
    interfaces = ["artifacts"]
    ecosystems = ["pypi"]
    settings = ["HOME"]

    whoever trusts it adds interfaces = ["sbom"] to its `grants` in the builder

    whoever trusts it adds interfaces = ["bindings", "sbom"], bindings = ["maven"], hosts = ["d.example.com"] to its `grants` in the builder, and adds to policy.toml:
    [[grants]]
    digest = "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"
    interfaces = ["artifacts", "bindings"]
    ecosystems = ["pypi"]
    settings = ["HOME"]
    bindings = ["maven"]
    hosts = ["d.example.com"]
    "#);
    // The lines that are told make the policy go along.
    let told = below.remedy("it", &of_policy);
    let (_, lines) = told.split_once(":\n").unwrap();
    let ceiling = ceiling(&policy(lines), b"component", &[], "acme/tool");
    assert!(of_policy.iter().all(|one| ceiling.allows.allows(one)), "{lines}");
}

#[test]
fn says_why_it_refuses() {
    let refused = |text: &str| {
        let error = Policy::parse(text).unwrap_err();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        // The parser shows the place; what it says of it comes last.
        format!("{error}: {}", cause.trim().lines().last().unwrap_or_default())
    };
    let digest = format!("digest = \"{}\"", component());
    let all = [
        refused("[[grants]]\ninterfaces = [\"artifacts\"]"),
        refused(&format!("[keys]\nacme = \"x\"\n[[grants]]\n{digest}\nsigner = \"acme\"")),
        refused("[[grants]]\nid = \"acme/tool\"\ninterfaces = [\"artifacts\"]"),
        refused("[[grants]]\nsigner = \"ac\u{202e}me\""),
        refused(&format!("[[grants]]\n{digest}\ntools = [\"sh\"]")),
        refused(&format!("[[grants]]\n{digest}\ninterfaces = [\"network\"]")),
        refused("[[grants]]\ndigest = \"sha256:12\""),
        refused(&format!("[[grants]]\n{digest}\n[[grants]]\n{digest}\nhosts = [\"https://d.example.com/\"]")),
        refused(&format!("[[grants]]\n{digest}\nhosts = [\"*\"]")),
        refused(&format!("[[grants]]\n{digest}\nsettings = [\"{}\"]", "X".repeat(257))),
        refused(&format!("[[grants]]\n{digest}\n").repeat(1001)),
        refused("[grant]"),
        refused(&"#".repeat(super::super::MAX_POLICY + 1)),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    the policy does not follow the format of policy.toml: an entry of `[[grants]]` has either a `digest` or a `signer`; an `id` beside it only narrows it
    the policy does not follow the format of policy.toml: an entry of `[[grants]]` has either a `digest` or a `signer`; an `id` beside it only narrows it
    the policy does not follow the format of policy.toml: an entry of `[[grants]]` has either a `digest` or a `signer`; an `id` beside it only narrows it
    entry 1 of `[[grants]]`: its signer `ac\u{202e}me` is not in `[keys]`: 
    the policy does not follow the format of policy.toml: unknown field `tools`, expected one of `digest`, `signer`, `id`, `interfaces`, `ecosystems`, `settings`, `bindings`, `hosts`
    the policy does not follow the format of policy.toml: unknown variant `network`, expected one of `app`, `context`, `log`, `layers`, `artifacts`, `overlay`, `bindings`, `sbom`
    the policy does not follow the format of policy.toml: `sha256:12` is not a digest: expected `sha256:` and 64 lower-case hex digits
    entry 2 of `[[grants]]`: `https://d.example.com/` is neither a host nor `*.` and the end of one, without port and path: 
    entry 1 of `[[grants]]`: `*` is neither a host nor `*.` and the end of one, without port and path: 
    entry 1 of `[[grants]]`: it has more than 1000 names, or one of more than 256 bytes: 
    entry 1001 of `[[grants]]`: there are at most 1000: 
    the policy does not follow the format of policy.toml: unknown field `grant`, expected one of `keys`, `trust`, `grants`
    the policy has 1048577 bytes, more than the limit of 1048576:
    ");
    let many: Vec<String> = (0..300).map(|n| format!("k{n} = \"x\"\n")).collect();
    let many = many.concat();
    assert_eq!(refused(&format!("[keys]\n{many}")), "`[keys]` has 300 keys, more than the limit of 256: ");
}

#[test]
fn what_is_read_is_written_again() {
    let text = format!("[[grants]]\ndigest = \"{}\"\nid = \"acme/tool\"\nhosts = [\"*.example.com\"]\n", component());
    let read = policy(&text);
    assert_eq!(Policy::parse(&toml::to_string(&read).unwrap()).unwrap(), read);
}
