//! The known answers of both signatures, one by one, and the corners they leave open.
//!
//! Neighbours: `tests/data/signature-vectors.json`, made by driving the vendor's SDKs. Apart because of its length.

use serde_json::{Map, Value};

use super::*;

fn vectors() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/signature-vectors.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: Map<String, Value> = serde_json::from_str(&text).unwrap();
    serde_json::from_value(all["vectors"].take()).unwrap()
}

fn pairs(map: &Value) -> Pairs {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    map.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Query or form as a gateway reads it: `+` is a space.
fn decoded(text: &str) -> Pairs {
    let mut all: Pairs = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    all.sort();
    all
}

fn check_v1(vector: &Value) {
    let text = |key: &str| vector[key].as_str().unwrap();
    let mut params = pairs(&vector["signed_params"]);
    assert_eq!(canonical_query(&params), text("canonicalized_query"));
    let string = v1::string_to_sign(text("method"), &params);
    assert_eq!(string, text("string_to_sign"));
    let signature = v1::signature(text("access_key_secret"), &string);
    assert_eq!(signature, text("signature"));

    params.push(("Signature".into(), signature));
    assert_eq!(v1::string_to_sign(text("method"), &params), string, "Signature does not sign itself");
    params.sort();
    let url = vector["wire_url"].as_str().and_then(|url| url.split_once('?')).map(|(_, query)| query);
    let sent = vector["wire_body"].as_str().filter(|body| !body.is_empty()).or(url);
    if let Some(sent) = sent {
        assert_eq!(decoded(sent), params, "as on the wire");
        assert_eq!(decoded(&query(params.iter())), params, "as we write it");
    }
}

fn check_v3(vector: &Value) {
    let text = |key: &str| vector[key].as_str().unwrap();
    let params = pairs(&vector["query_params"]);
    let headers = pairs(&vector["headers"]);
    let signed = signed(&headers);
    assert_eq!(canonical_query(&params), text("canonicalized_query"));
    assert_eq!(signed, text("signed_headers"));
    let body = vector["wire_body"].as_str().unwrap_or_default();
    let payload = v3::digest(body.as_bytes());
    assert_eq!(payload, text("hashed_payload"));
    let canonical = v3::canonical_request(text("method"), text("path"), &params, &headers, &signed, &payload);
    assert_eq!(canonical, text("canonical_request"));
    let string = v3::string_to_sign(&canonical);
    assert_eq!(string, text("string_to_sign"));
    let signature = v3::signature(text("access_key_secret"), &string);
    assert_eq!(signature, text("signature"));
    assert_eq!(v3::authorization(text("access_key_id"), &signed, &signature), text("authorization"));
    if let Some((_, sent)) = vector["wire_url"].as_str().and_then(|url| url.split_once('?')) {
        let mut sorted = params;
        sorted.sort();
        assert_eq!(decoded(sent), sorted, "`+` on the wire is the space that was signed as %20");
    }
}

fn signed(headers: &[(String, String)]) -> String {
    v3::signed_headers(headers)
}

#[test]
fn every_known_answer_is_reproduced() {
    let vectors = vectors();
    for vector in &vectors {
        println!("{}", vector["id"]);
        if vector["scheme"].as_str().unwrap().starts_with("V1") { check_v1(vector) } else { check_v3(vector) }
    }
    assert_eq!(vectors.len(), 10);
    assert_eq!(v3::digest(b""), v3::DIGEST_OF_NOTHING);
}

#[test]
fn encoding_keeps_only_the_unreserved() {
    let cases = [
        ("AZaz09-_.~", "AZaz09-_.~"),
        (" +*/", "%20%2B%2A%2F"),
        ("!'()@=&%", "%21%27%28%29%40%3D%26%25"),
        ("张", "%E5%BC%A0"),
        ("", ""),
    ];
    for (raw, expect) in cases {
        assert_eq!(encode(raw), expect, "{raw}");
    }
}

#[test]
fn headers_of_one_name_are_joined_and_missing_ones_empty() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = [pair("X-Acs-B", " two "), pair("x-acs-b", "one"), pair("accept", "*/*")];
    let canonical = v3::canonical_request("GET", "/", &[], &headers, "x-acs-b;x-acs-c", "p");
    assert_eq!(canonical, "GET\n/\n\nx-acs-b:one,two\nx-acs-c:\n\nx-acs-b;x-acs-c\np");
}
