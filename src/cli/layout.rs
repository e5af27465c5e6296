//! JSON text laid out for reading, its keys in the order in which they stand.
//!
//! Neighbours: `print` for terminals, `payload` and the demo for what was sent. A part of its own because a value that
//! is read and written again comes out sorted, and then what is shown is not what was sent.

/// `json`, which must be JSON, one key or element a line; only white space between its parts differs.
pub(super) fn laid_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    for c in json.chars() {
        if quoted {
            text.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !text.ends_with(['{', '[']) {
                    line(&mut text, depth);
                }
            }
            // The first part of a list or an object that is not empty.
            _ if text.ends_with(['{', '[']) => line(&mut text, depth),
            _ => {}
        }
        text.push(c);
        match c {
            '{' | '[' => depth += 1,
            ',' => line(&mut text, depth),
            ':' => text.push(' '),
            '"' => quoted = true,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn keys_stay_where_they_stand() {
        let shown = laid_out(r#"{"type":"a{[,:\"]}\\","data":{"z":[1,-2e3,{"b":null}],"a":[ ],"o":{}} }"#);
        let expect = r#"{
  "type": "a{[,:\"]}\\",
  "data": {
    "z": [
      1,
      -2e3,
      {
        "b": null
      }
    ],
    "a": [],
    "o": {}
  }
}"#;
        assert_eq!(shown, expect);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\\\\"{}\\[\\],: a-c张\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let fields = prop::collection::btree_map("[a-c\"{\\\\]{0,3}", inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn sorted_json_looks_as_the_library_prints_it(value in any_json()) {
            prop_assert_eq!(laid_out(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
