//! JSON documents of others, read strictly: capped in size and depth, and no key twice in one object.
//!
//! Two readers that choose differently between equal keys see two different images under one digest; so there is
//! nothing to choose (N3, N4).

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The largest manifest, index or configuration that is read, in bytes: what registries must accept and most cap at
/// (OCI distribution spec, "Pushing manifests").
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// The deepest nesting of objects and lists.
pub const MAX_DEPTH: usize = 64;

/// Why a document is not read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is larger than [`MAX_DOCUMENT`].
    #[error("it has more than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// It is not JSON, too deep, has a key twice, or lacks what it must have.
    #[error("it is not the JSON it should be")]
    Malformed(#[source] serde_json::Error),
}

/// Reads a document as `T`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    T::deserialize(value(bytes)?).map_err(JsonError::Malformed)
}

/// Reads a document as it is.
pub fn value(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(JsonError::TooLarge);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(MAX_DEPTH).deserialize(&mut reader).map_err(JsonError::Malformed)?;
    reader.end().map_err(JsonError::Malformed)?;
    Ok(value)
}

/// Reads a value with as many levels left below it.
#[derive(Clone, Copy)]
struct Strict(usize);

impl Strict {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("it is nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(key) = items.next_key::<String>()? {
            let value = items.next_value_seed(below)?;
            if map.contains_key(&key) {
                let shown: String = key.chars().take(100).flat_map(char::escape_debug).collect();
                return Err(A::Error::custom(format_args!("the key `{shown}` is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn refused(text: &str) -> String {
        let error = value(text.as_bytes()).unwrap_err();
        error.source().map_or_else(|| error.to_string(), ToString::to_string)
    }

    #[test]
    fn reads_what_serde_reads() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x"],"b":{"a":{}}}"#;
        assert_eq!(value(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        let cases =
            [r#"{"a":1,"a":2}"#, r#"{"x":[{"layers":1,"\u006cayers":2}]}"#, r#"{"a":1}{"#, "", r#"{"a":1e999}"#];
        insta::assert_snapshot!(cases.map(refused).join("\n"), @"
        the key `a` is there twice at line 1 column 13
        the key `layers` is there twice at line 1 column 34
        trailing characters at line 1 column 8
        EOF while parsing a value at line 1 column 0
        number out of range at line 1 column 10
        ");
    }

    #[test]
    fn refuses_what_is_too_deep_or_too_large() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refused(&nested(MAX_DEPTH + 1)).contains("nested too deeply"));
        assert!(refused(&nested(100_000)).contains("nested too deeply"));
        let large = format!("\"{}\"", "x".repeat(4 << 20));
        assert_eq!(refused(&large), "it has more than 4194304 bytes");
    }
}
