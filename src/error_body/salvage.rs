//! A JSON text that breaks off in the middle: what had been complete by then.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What of a JSON text had been complete when it broke off.
pub(super) fn salvage(text: &[u8]) -> Value {
    let mut kept = Value::Null;
    let _ = Keep(&mut kept).deserialize(&mut serde_json::Deserializer::from_slice(text));
    kept
}

/// Puts a value into its place part by part, so that an error on the way costs only what comes after it.
struct Keep<'a>(&'a mut Value);

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Keep<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "so that each visit is one expression")]
    fn keep<E>(self, value: impl Into<Value>) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut list = Vec::new();
        let result = append(&mut list, &mut items);
        self.keep::<A::Error>(list)?;
        result
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut map = Map::new();
        let result = fill(&mut map, &mut fields);
        self.keep::<A::Error>(map)?;
        result
    }
}

fn append<'de, A: SeqAccess<'de>>(list: &mut Vec<Value>, items: &mut A) -> Result<(), A::Error> {
    loop {
        let mut item = Value::Null;
        let next = items.next_element_seed(Keep(&mut item));
        if matches!(next, Ok(None)) {
            return Ok(());
        }
        list.push(item);
        next?;
    }
}

fn fill<'de, A: MapAccess<'de>>(map: &mut Map<String, Value>, fields: &mut A) -> Result<(), A::Error> {
    let mut last = String::new();
    loop {
        let Some(name) = fields.next_key::<String>().inspect_err(|_| forget_number(map, &last))? else { return Ok(()) };
        let mut value = Value::Null;
        let result = fields.next_value_seed(Keep(&mut value));
        map.insert(name.clone(), value);
        result?;
        last = name;
    }
}

/// A number right before the break may have lost its last digits.
fn forget_number(map: &mut Map<String, Value>, name: &str) {
    if map.get(name).is_some_and(Value::is_number) {
        map.remove(name);
    }
}
