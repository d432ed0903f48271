//! Reads plain data out of a JSON value and says where it went wrong: `spec.source.git.url`.
//!
//! A manifest is long, and "unknown field `revison`" without its place sends people searching.

use std::cell::RefCell;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Error, Map, Value};

use super::{Problem, plain};

/// Most characters of a message: part of it is what somebody wrote.
const MAX_MESSAGE: usize = 300;

/// Reads `value`, which stands at `path`.
pub fn read<T: DeserializeOwned>(value: &Value, path: &str) -> Result<T, Problem> {
    let trail = RefCell::new(Trail { now: vec![path.to_owned()], failed: None });
    T::deserialize(At { value, trail: &trail }).map_err(|error| {
        let trail = trail.into_inner();
        let path = trail.failed.unwrap_or_else(|| trail.now.concat());
        Problem { path: plain(&path, MAX_MESSAGE), rule: plain(&error.to_string(), MAX_MESSAGE) }
    })
}

/// Where the reader is, and where it first failed.
struct Trail {
    now: Vec<String>,
    failed: Option<String>,
}

struct At<'de, 'a> {
    value: &'de Value,
    trail: &'a RefCell<Trail>,
}

impl<'de> At<'de, '_> {
    /// Reads what stands one step further.
    fn step<S: DeserializeSeed<'de>>(self, step: String, seed: S) -> Result<S::Value, Error> {
        let trail = self.trail;
        trail.borrow_mut().now.push(step);
        let read = seed.deserialize(self);
        let mut trail = trail.borrow_mut();
        if read.is_err() && trail.failed.is_none() {
            trail.failed = Some(trail.now.concat());
        }
        trail.now.pop();
        read
    }
}

impl<'de> Deserializer<'de> for At<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { rest: items.iter(), at: 0, trail: self.trail }),
            Value::Object(map) => visitor.visit_map(Fields { rest: map.iter(), next: None, trail: self.trail }),
            Value::Null => visitor.visit_unit(),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value.as_str() {
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => Err(Error::custom(format_args!("expected one of {}", variants.join(", ")))),
        }
    }

    /// Fields have names: serde would take a list of values in their sequence too, and an empty one for all that may be left out.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de, 'a> {
    rest: std::slice::Iter<'de, Value>,
    at: usize,
    trail: &'a RefCell<Trail>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let step = format!("[{}]", self.at);
        self.at += 1;
        At { value, trail: self.trail }.step(step, seed).map(Some)
    }
}

struct Fields<'de, 'a> {
    rest: serde_json::map::Iter<'de>,
    next: Option<(&'de String, &'de Value)>,
    trail: &'a RefCell<Trail>,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.next = Some((key, value));
        let read = seed.deserialize(key.as_str().into_deserializer());
        read.map(Some).inspect_err(|_: &Error| {
            let mut trail = self.trail.borrow_mut();
            if trail.failed.is_none() {
                trail.failed = Some(format!("{}.{key}", trail.now.concat()));
            }
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (key, value) = self.next.take().ok_or_else(|| Error::custom("a value without its key"))?;
        At { value, trail: self.trail }.step(format!(".{key}"), seed)
    }
}

/// The member of an object as text.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Outer {
        list: Vec<Inner>,
        #[serde(default)]
        maybe: Option<u32>,
        #[serde(default)]
        any: Value,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        kind: Kind,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Blob,
        Git,
    }

    #[test]
    fn reads_what_serde_reads() {
        let value = json!({ "list": [{ "kind": "git" }], "maybe": null, "any": { "a": [1, "x", null, 1.5, -1] } });
        let read: Outer = read(&value, "spec").unwrap();
        assert_eq!(read, Outer { list: vec![Inner { kind: Kind::Git }], maybe: None, any: value["any"].clone() });
        assert_eq!(Some(read), serde_json::from_value(value).ok());
    }

    #[test]
    fn says_where_it_went_wrong() {
        for (value, expected) in [
            (
                json!({ "list": [{ "kind": "git" }, { "kin": 1 }] }),
                "spec.list[1].kin: unknown field `kin`, expected `kind`",
            ),
            (
                json!({ "list": [{ "kind": "svn" }] }),
                "spec.list[0].kind: unknown variant `svn`, expected `blob` or `git`",
            ),
            (json!({ "list": [{ "kind": 1 }] }), "spec.list[0].kind: expected one of blob, git"),
            (json!({ "list": [{}] }), "spec.list[0]: missing field `kind`"),
            (json!({ "list": [["git"]] }), "spec.list[0]: invalid type: sequence, expected struct Inner"),
            (json!({ "maybe": 1 }), "spec: missing field `list`"),
            (json!({ "list": [], "maybe": -1 }), "spec.maybe: invalid value: integer `-1`, expected u32"),
            (json!({ "list": 1 }), "spec.list: invalid type: integer `1`, expected a sequence"),
            (
                json!({ "list": [], "a\u{1b}": 1 }),
                r"spec.a\u{1b}: unknown field `a\u{1b}`, expected one of `list`, `maybe`, `any`",
            ),
        ] {
            assert_eq!(read::<Outer>(&value, "spec").unwrap_err().to_string(), expected);
        }
    }
}
