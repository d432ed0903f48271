//! What a password opens: a JSON document with scrypt's parameters and a `NaCl` secret box, as cosign keeps private keys
//! (go-securesystemslib, "encrypted").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{Key, KeyInit as _, Nonce, XSalsa20Poly1305, aead::Aead as _};
use scrypt::Params;
use serde::Deserialize;
use stave_model::json;
use zeroize::Zeroizing;

use crate::key::KeyError;

/// The costs that there are, as powers of two: those of older files, of today's, and of what is recommended. Whoever asks for more
/// wants memory or time: the largest of these takes 128 MiB.
const COSTS: [(u64, u8); 3] = [(1 << 15, 15), (1 << 16, 16), (1 << 17, 17)];

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Costs,
    salt: String,
}

#[derive(Deserialize)]
struct Costs {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Opens what `password` closes.
pub(crate) fn open(document: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let sealed: Sealed =
        json::parse(document).map_err(|_| KeyError::Sealed("it is not the document that cosign writes"))?;
    let Sealed { kdf, cipher, ciphertext } = sealed;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        return Err(KeyError::Sealed("it is neither scrypt nor a NaCl secret box"));
    }
    let Costs { n, r, p } = kdf.params;
    let cost = COSTS.iter().find(|(cost, _)| *cost == n).filter(|_| (r, p) == (8, 1));
    let (_, cost) = cost.ok_or(KeyError::Sealed("its scrypt parameters are none that cosign uses"))?;
    let params =
        Params::new(*cost, 8, 1, 32).map_err(|_| KeyError::Sealed("its scrypt parameters are not possible"))?;
    let decoded =
        |text: &str| STANDARD.decode(text).map_err(|_| KeyError::Sealed("it is not base64 where it should be"));
    let (salt, nonce, ciphertext) = (decoded(&kdf.salt)?, decoded(&cipher.nonce)?, decoded(&ciphertext)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| KeyError::Sealed("its nonce does not have 24 bytes"))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, &salt, &params, key.as_mut()).map_err(|_| KeyError::Sealed("scrypt fails"))?;
    let opened =
        XSalsa20Poly1305::new(Key::from_slice(key.as_ref())).decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice());
    opened.map(Zeroizing::new).map_err(|_| KeyError::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document with these costs, which nothing opens.
    fn costing(n: u64, r: u64, p: u64) -> String {
        let (salt, nonce) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 24]));
        format!(
            r#"{{"kdf":{{"name":"scrypt","params":{{"N":{n},"r":{r},"p":{p}}},"salt":"{salt}"}},"cipher":{{"name":"nacl/secretbox","nonce":"{nonce}"}},"ciphertext":"{salt}"}}"#
        )
    }

    #[test]
    fn costs_that_only_harm_are_not_paid() {
        let refused = |text: &str| open(text.as_bytes(), b"x").map(drop).unwrap_err().to_string();
        for (n, r, p) in [(1 << 40, 8, 1), (1 << 15, 1 << 30, 1), (1 << 15, 8, 1 << 30), (0, 8, 1), (3, 8, 1)] {
            let said = refused(&costing(n, r, p));
            assert_eq!(said, "its encryption cannot be used: its scrypt parameters are none that cosign uses", "{n}");
        }
        assert_eq!(refused(&costing(1 << 15, 8, 1)), "the password does not open it");
    }

    #[test]
    fn what_is_not_the_document_is_refused() {
        let good = costing(1 << 15, 8, 1);
        let refused = |text: &str| open(text.as_bytes(), b"x").map(drop).unwrap_err().to_string();
        let cases = [
            "{}".to_owned(),
            good.replacen('{', r#"{"ciphertext":"","#, 1),
            good.replace("scrypt", "md5"),
            good.replace("\"nonce\":\"", "\"nonce\":\"!"),
            good.replace("\"nonce\":\"AgIC", "\"nonce\":\""),
        ];
        insta::assert_snapshot!(cases.map(|text| refused(&text)).join("\n"), @"
        its encryption cannot be used: it is not the document that cosign writes
        its encryption cannot be used: it is not the document that cosign writes
        its encryption cannot be used: it is neither scrypt nor a NaCl secret box
        its encryption cannot be used: it is not base64 where it should be
        its encryption cannot be used: its nonce does not have 24 bytes
        ");
    }
}
