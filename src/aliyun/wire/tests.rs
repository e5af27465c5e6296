//! What is made of good, odd, broken and hostile replies.
//!
//! Neighbours: `tests/data/statistics.*` are the vendor's own samples. Apart because of its length.

use super::*;

/// The samples of the vendor's page, to the letter.
const SAMPLE_JSON: &str = include_str!("../../../tests/data/statistics.json");
const SAMPLE_XML: &str = include_str!("../../../tests/data/statistics.xml");

fn entries(body: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let (envelope, entries) = statistics(body)?;
    assert_eq!(Ok(envelope), super::envelope(body), "read with the rest or alone");
    Ok(entries)
}

#[test]
fn both_samples_of_the_vendor_read_alike() {
    for sample in [SAMPLE_JSON, SAMPLE_XML] {
        let expect = vec![Entry { name: "doctest".into(), count: Some(0) }];
        assert_eq!(entries(sample.as_bytes()), Ok(expect));
        let head = envelope(sample.as_bytes()).unwrap();
        assert_eq!(head.request_id.as_deref(), Some("14846A6A-2192-4F6A-B272-B8BD68EBC89B"));
        assert_eq!(head.code, None);
    }
}

/// A count in JSON as written; the second user must be read whatever the first one is.
#[track_caller]
fn check_count(written: &str, expect: Option<u32>) {
    let json = format!(
        r#"{{"UserStatistics":{{"Statistics":[{{"UserName":"a","OnlineCount":{written}}},{{"UserName":"b","OnlineCount":1}}]}}}}"#
    );
    let entries = entries(json.as_bytes()).unwrap();
    assert_eq!((entries[0].count, entries[1].count), (expect, Some(1)), "{written}");
}

#[test]
fn a_count_is_digits_and_anything_else_fails_one_user() {
    for (written, count) in [("0", 0), ("2", 2), ("\"2\"", 2), ("\"02\"", 2), ("100000", 100_000)] {
        check_count(written, Some(count));
    }
    for written in [
        "-1",
        "1.5",
        "2.0",
        "2e0",
        "1e400",
        "100001",
        "2147483648",
        "9223372036854775808",
        "99999999999999999999999",
        "\"\"",
        "\" 2\"",
        "\"2 \"",
        "\"+2\"",
        "\"-1\"",
        "\"2.0\"",
        "\"0x2\"",
        "\"NaN\"",
        "\"２\"",
        "null",
        "true",
        "[]",
        "[2]",
        "{}",
        "{\"OnlineCount\":2}",
    ] {
        check_count(written, None);
    }
    let missing = br#"{"UserStatistics":{"Statistics":[{"UserName":"a"}]}}"#;
    assert_eq!(entries(missing).unwrap()[0].count, None);
    for (text, count) in [("2", Some(2)), (" 2", None), ("", None), ("&#50;", Some(2)), ("-1", None)] {
        let xml = format!(
            "<R><UserStatistics><Statistics><UserName>a</UserName><OnlineCount>{text}</OnlineCount></Statistics></UserStatistics></R>"
        );
        assert_eq!(entries(xml.as_bytes()).unwrap()[0].count, count, "{text}");
    }
}

#[track_caller]
fn check(body: &str, expect: Result<&[&str], &str>) {
    let found = entries(body.as_bytes()).map(|all| all.into_iter().map(|e| e.name).collect::<Vec<_>>());
    let shown = if body.len() > 200 { "(long)" } else { body };
    match (found, expect) {
        (Ok(names), Ok(expect)) => assert_eq!(names, expect, "{shown}"),
        (Err(why), Err(expect)) => assert!(why.0.contains(expect), "{shown}: {why}"),
        (found, expect) => panic!("{shown}: {found:?}, not {expect:?}"),
    }
}

#[test]
fn a_broken_reply_is_refused_whole() {
    let fields = Err("has not the documented fields");
    check(r#"{"UserStatistics":{"Statistics":[]}}"#, Ok(&[]));
    check("\u{feff}{\"UserStatistics\":{\"Statistics\":[]}}\n", Ok(&[]));
    check(r#"{"UserStatistics":{"Statistics":{"UserName":"one","OnlineCount":1}}}"#, Ok(&["one"]));
    check(
        r#"{"UserStatistics":{"Statistics":[{"UserName":"b"},{"UserName":"a\u00e9","New":[{}]}]}}"#,
        Ok(&["b", "aé"]),
    );
    check(r#"{"RequestId":"x"}"#, fields);
    check(r#"{"UserStatistics":null}"#, fields);
    check(r#"{"UserStatistics":[]}"#, fields);
    check(r#"{"UserStatistics":[[]]}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[["a",1]]}}"#, fields);
    check(r#"{"UserStatistics":{}}"#, fields);
    check(r#"{"UserStatistics":{"statistics":[]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":null}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":"a"}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[7]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[{"OnlineCount":1}]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[{"UserName":12,"OnlineCount":1}]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[{"UserName":"a","OnlineCount":1,"OnlineCount":2}]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[]},"UserStatistics":{"Statistics":[]}}"#, fields);
    check(r#"{"UserStatistics":{"Statistics":[{"UserName":"a\ud800"}]}}"#, Err("is not JSON"));
    check(r#"{"UserStatistics":{"Statistics":[{"UserName":"a"#, Err("ends too early"));
    check(r#"{"UserStatistics":{"Statistics":[]}} x"#, Err("is not JSON"));
    check(&format!("{{\"UserStatistics\":{}", "[".repeat(500_000)), Err("the reply"));
    check(&format!("{{\"x\":{}", "[".repeat(500_000)), Err("ends too early"));
    check("", Err("empty"));
    check(" \n", Err("empty"));
    check("2", Err("neither JSON nor XML"));
    check("[]", Err("neither JSON nor XML"));
    assert!(statistics(b"\xff\xfe{\0}\0").is_err(), "UTF-16");
    assert!(statistics(b"{\"UserStatistics\":\"\xff\"}").is_err());
}

#[test]
fn xml_is_read_whole_or_not_at_all() {
    let one = |name: &str| {
        format!("<Statistics><UserName>{name}</UserName><OnlineCount>1</OnlineCount></Statistics>")
    };
    let list =
        format!("<UserStatistics>{}\n  {}</UserStatistics>", one("a"), one("b &amp; &#x5F20;<![CDATA[<]]>"));
    check(&format!("<?xml version='1.0' encoding='UTF-8'?><Any>{list}</Any>"), Ok(&["a", "b & 张<"]));
    check("<R><UserStatistics/></R>", Ok(&[]));
    check("<R><RequestId>x</RequestId></R>", Err("no UserStatistics"));
    check("<R><UserStatistics><Statistics/></UserStatistics></R>", Err("no UserName"));
    check(&format!("<R>{list}{list}</R>"), Err("UserStatistics twice"));
    check(&format!("<R>{list}"), Err("ends too early"));
    check(&format!("<R>{list}</R><R/>"), Err("two roots"));
    check(&format!("<R>{list}</R> x"), Err("outside"));
    check("<R><UserStatistics></R>", Err("well-formed"));
    check(&"<a>".repeat(300_000), Err("nested too deeply"));
    check("<!DOCTYPE html><html><body>Bad Gateway</body></html>", Err("web page"));
    check("<!DOCTYPE r [<!ENTITY a 'aaaa'>]><r>&a;</r>", Err("document type"));
    check("<html><body>down</body></html>", Err("no UserStatistics"));
    check("<R><UserStatistics>&boom;</UserStatistics></R>", Err("unknown entity"));
}

#[test]
fn an_error_is_told_in_either_form_and_case() {
    let bodies = [
        r#"{"RequestId":"R","HostId":"h","Code":"ClientUser.NameInvalid","Message":"m","Recommend":"u"}"#,
        r#"{"requestId":"R","code":"ClientUser.NameInvalid","message":"m"}"#,
        "<Error><RequestId>R</RequestId><HostId>h</HostId><Code>ClientUser.NameInvalid</Code><Message>m</Message></Error>",
    ];
    for body in bodies {
        let head = envelope(body.as_bytes()).unwrap();
        let found = (head.request_id.as_deref(), head.code.as_deref(), head.message.as_deref());
        assert_eq!(found, (Some("R"), Some("ClientUser.NameInvalid"), Some("m")), "{body}");
    }
    for fine in
        [r#"{"Code":"200"}"#, r#"{"Code":200}"#, r#"{"Code":"OK"}"#, r#"{"Code":null}"#, "<R><Code/></R>"]
    {
        assert_eq!(envelope(fine.as_bytes()).unwrap().code, None, "{fine}");
    }
}

#[test]
fn clients_have_an_address_and_perhaps_a_time() {
    let json = br#"{"Users":{"User":[{"ClientIp":"10.0.0.1","OnlineTime":"1586400000"},{"ClientIp":"10.0.0.2","OnlineTime":1586400000},{"ClientIp":"10.0.0.3","OnlineTime":"soon"}]}}"#;
    let xml = b"<R><Users><User><ClientIp>10.0.0.1</ClientIp><OnlineTime>1586400000</OnlineTime></User></Users></R>";
    let since = Some("2020-04-09T02:40:00Z".parse().unwrap());
    let client = |last: u8, online_since| OnlineClient { address: format!("10.0.0.{last}"), online_since };
    assert_eq!(clients(json).unwrap(), [client(1, since), client(2, since), client(3, None)]);
    assert_eq!(clients(xml).unwrap(), [client(1, since)]);
    assert!(clients(br#"{"Users":null}"#).is_err());
}

/// The users a page names and what it says of each; or why it is none.
#[track_caller]
fn check_roster(body: &str, expect: &str) {
    let said = match roster(body.as_bytes()) {
        Ok(page) => format!("{} {:?} {:?}", page.total, page.number, page.users),
        Err(why) => why.to_string(),
    };
    let said = said.replace("RosterUser ", "").replace("Some(", "").replace(')', "");
    assert!(said.contains(expect), "{body}: {said}");
}

#[test]
fn pages_of_users_read_alike_in_both_formats() {
    let json = r#"{"TotalCount":2,"PageNumber":1,"Users":{"User":[{"UserName":"a","State":0},{"UserName":"张","State":"1"}]}}"#;
    let xml = "<R><TotalCount>2</TotalCount><PageNumber>1</PageNumber><Users><User><UserName>a</UserName>\
        <State>0</State></User><User><UserName>张</UserName><State>1</State></User></Users></R>";
    for body in [json, xml] {
        check_roster(body, r#"2 1 [{ name: "a", enabled: true }, { name: "张", enabled: false }]"#);
    }
    check_roster(
        r#"{"TotalCount":"1","Users":{"User":{"UserName":"a","State":7}}}"#,
        "1 None [{ name: \"a\", enabled: None }]",
    );
    check_roster(r#"{"TotalCount":0,"Users":{"User":[]}}"#, "0 None []");
    check_roster(r#"{"Users":{"User":[]}}"#, "no TotalCount");
    check_roster(r#"{"TotalCount":-1,"Users":{"User":[]}}"#, "no TotalCount");
    check_roster(r#"{"TotalCount":1,"Users":{"User":[{"UserName":""}]}}"#, "without a name");
    check_roster(r#"{"TotalCount":1,"Users":{"User":[{"State":0}]}}"#, "has not the documented fields");
    check_roster("<R><TotalCount>1</TotalCount></R>", "no Users");
}

#[test]
fn totals_may_be_higher_than_any_users_count() {
    let json =
        r#"{"SagStatistics":{"Statistics":[{"SmartAGId":"s","OnlineCount":"250000"},{"SmartAGId":"t"}]}}"#;
    let xml = "<R><SagStatistics><Statistics><SmartAGId>s</SmartAGId><OnlineCount>250000</OnlineCount></Statistics>\
        <Statistics><SmartAGId>t</SmartAGId></Statistics></SagStatistics></R>";
    for body in [json, xml] {
        let all = totals(body.as_bytes()).unwrap();
        let all: Vec<_> = all.iter().map(|total| (total.instance.as_str(), total.online)).collect();
        assert_eq!(all, [("s", Some(250_000)), ("t", None)]);
    }
}
