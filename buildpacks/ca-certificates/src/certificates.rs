//! What a setting means, what a certificate is, and where it goes.

use stave_sdk::Failure;

/// Whether a switch is on; off when nothing is said.
pub(crate) fn is_on(name: &str, value: Option<&str>) -> Result<bool, Failure> {
    match value.unwrap_or("false").to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::environment(format!("{name} is neither true nor false"))),
    }
}

/// Whether a text holds certificates, and nothing that is to be kept secret, which an image could not.
pub(crate) fn is_certificate(text: &[u8]) -> bool {
    let has = |label: &[u8]| text.windows(label.len()).any(|window| window == label);
    has(b"-----BEGIN CERTIFICATE-----") && !has(b"PRIVATE KEY-----")
}

/// The file of one entry: names of bindings and keys together could be those of another pair, so there is a number before.
pub(crate) fn path(folder: &str, number: u32, binding: &str, key: &str) -> String {
    format!("{folder}/{number:03}-{binding}-{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off() {
        for (value, expected) in [
            (None, Some(false)),
            (Some("TRUE"), Some(true)),
            (Some("1"), Some(true)),
            (Some("0"), Some(false)),
            (Some("maybe"), None),
        ] {
            assert_eq!(is_on("X", value).ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn keys_do_not_go_into_an_image() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        assert!(is_certificate(certificate.as_bytes()));
        assert!(!is_certificate(b"password"));
        let with_key = format!("{certificate}-----BEGIN RSA PRIVATE KEY-----\nMA==\n");
        assert!(!is_certificate(with_key.as_bytes()));
    }

    #[test]
    fn every_entry_has_a_file_of_its_own() {
        assert_eq!(path("c", 1, "a-b", "c.pem"), "c/001-a-b-c.pem");
        assert_ne!(path("c", 1, "a-b", "c"), path("c", 2, "a", "b-c"));
    }
}
