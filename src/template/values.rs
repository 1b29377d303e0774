//! The values that templates may name, per namespace, and how a path finds one. Keeps the JSON as it came and says it as
//! text on demand. Never prints a value: they are personal.

use std::fmt;

use serde_json::Value;

use super::Namespace;

/// The fields of one namespace.
pub type Fields = serde_json::Map<String, Value>;

/// Everything the templates of one call may name.
#[derive(Clone, Default, PartialEq)]
pub struct Values {
    crm: Fields,
    call: Fields,
    result: Fields,
}

impl Values {
    /// Sets one field, over whatever it was.
    pub fn set(&mut self, namespace: Namespace, key: &str, value: Value) {
        self.fields_mut(namespace).insert(key.to_owned(), value);
    }

    /// Adds the fields of a weaker source: those that are not there yet. Sources are merged strongest first.
    pub fn merge_weaker(&mut self, namespace: Namespace, weaker: Fields) {
        let fields = self.fields_mut(namespace);
        for (key, value) in weaker {
            fields.entry(key).or_insert(value);
        }
    }

    /// The value at `path` as JSON: the field of exactly that name, else the way down through nested objects (by key, an
    /// exact rest of the path before its first part) and lists (by number from 0).
    #[must_use]
    pub fn raw(&self, namespace: Namespace, path: &str) -> Option<&Value> {
        descend(self.fields(namespace), path)
    }

    /// The value at `path` as text: a string itself, a number or truth value as JSON writes it, null as nothing, an
    /// object or list as compact JSON.
    #[must_use]
    pub fn get(&self, namespace: Namespace, path: &str) -> Option<String> {
        self.raw(namespace, path).map(text_of)
    }

    /// All fields of one namespace.
    #[must_use]
    pub const fn fields(&self, namespace: Namespace) -> &Fields {
        match namespace {
            Namespace::Crm => &self.crm,
            Namespace::Call => &self.call,
            Namespace::Result => &self.result,
        }
    }

    const fn fields_mut(&mut self, namespace: Namespace) -> &mut Fields {
        match namespace {
            Namespace::Crm => &mut self.crm,
            Namespace::Call => &mut self.call,
            Namespace::Result => &mut self.result,
        }
    }
}

/// Counts only.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (crm, call, result) = (self.crm.len(), self.call.len(), self.result.len());
        write!(f, "Values {{ crm: {crm} redacted, call: {call} redacted, result: {result} redacted }}")
    }
}

/// A value as text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One step takes at least one character off the path, so its length bounds the depth.
fn descend<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    descend_value(fields.get(first)?, rest)
}

fn descend_value<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => descend(fields, path),
        Value::Array(items) => {
            let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
            let item = items.get(first.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| descend_value(item, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.set(Namespace::Crm, "a.b", json!("flat"));
        values.set(Namespace::Crm, "a", json!({"b": "deep", "c": {"d.e": 1.50, "n": null}, "l": [{"x": true}, 7]}));
        values
    }

    #[test]
    fn the_exact_key_wins_then_the_path_goes_down() {
        let values = values();
        for (path, found) in [
            ("a.b", Some("flat")),
            ("a.c.d.e", Some("1.5")),
            ("a.c.n", Some("")),
            ("a.l.0.x", Some("true")),
            ("a.l.1", Some("7")),
            ("a.l.2", None),
            ("a.l.1.x", None),
            ("a.l.-1", None),
            ("a.b.z", None),
            ("a.", None),
            ("A.b", None),
            ("a.c", Some(r#"{"d.e":1.5,"n":null}"#)),
        ] {
            assert_eq!(values.get(Namespace::Crm, path).as_deref(), found, "{path}");
        }
        assert_eq!(values.get(Namespace::Call, "a.b"), None);
    }

    #[test]
    fn a_weaker_source_only_fills_gaps() {
        let mut values = values();
        let Value::Object(weaker) = json!({"a.b": "weak", "new": 1}) else { unreachable!() };
        values.merge_weaker(Namespace::Crm, weaker);
        assert_eq!(values.get(Namespace::Crm, "a.b").as_deref(), Some("flat"));
        assert_eq!(values.get(Namespace::Crm, "new").as_deref(), Some("1"));
    }

    #[test]
    fn values_never_print() {
        let printed = format!("{:?}", values());
        assert_eq!(printed, "Values { crm: 2 redacted, call: 0 redacted, result: 0 redacted }");
    }
}
