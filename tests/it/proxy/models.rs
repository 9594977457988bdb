//! Only allowed models are served.

use super::caller::{ask, get};
use super::{Proxy, pair};

const JSON: &str = "content-type: application/json\r\n";

async fn post(proxy: &Proxy, headers: &str, body: &str) -> (u16, String) {
    let answer = ask(proxy.address, "POST /v1/chat/completions", headers, body).await;
    (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
}

/// Attack 60: what is let through is what was judged, byte for byte.
#[tokio::test]
async fn only_a_model_that_matches_is_sent_on() {
    let (provider, proxy) = pair(&["--allow-model", "^x:free$"]).await;
    for body in [r#"{"model":"x:free"}"#, "{ \"mod\\u0065l\" : \"x:free\",\n \"models\": [\"x:free\"] }"] {
        assert_eq!(post(&proxy, JSON, body).await.0, 200, "{body}");
        assert_eq!(provider.only().body, body);
    }
    let denied = (400, "request_not_allowed".to_owned());
    let padded = format!(r#"{{"model":"x:free","text":"{}"}}"#, "a".repeat(1 << 20));
    for body in [
        r#"{"model":"gpt-5"}"#,
        r#"{"model":"x:free","models":["gpt-5"]}"#,
        r#"{"model":["gpt-5","x:free"]}"#,
        r#"{"model":"gpt-5","model":"x:free"}"#,
        "{\"model\":\"gpt-5\\nx:free\"}",
        "model=x:free",
        &padded,
    ] {
        assert_eq!(post(&proxy, JSON, body).await, denied, "{}", &body[..12]);
    }
    assert_eq!(
        post(&proxy, "content-type: application/x-www-form-urlencoded\r\n", r#"{"model":"x:free"}"#).await,
        denied
    );
    assert_eq!(post(&proxy, &format!("{JSON}content-encoding: gzip\r\n"), r#"{"model":"x:free"}"#).await, denied);
    assert_eq!(post(&proxy, JSON, "").await, denied);
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn a_request_without_a_body_needs_no_model() {
    let (provider, proxy) = pair(&["--allow-model", "^x$"]).await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    assert_eq!(ask(proxy.address, "DELETE /v1/files/1", "", "").await.status, 200);
    assert_eq!(provider.seen().len(), 2);
    let answer = ask(proxy.address, "GET /v1/chat", JSON, r#"{"model":"y"}"#).await;
    let says = r#"body-json parameter "model" with value "y" does not match regex pattern: ^x$"#;
    assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (400, Some(says)));
    assert!(provider.seen().is_empty());
}
