//! A provider that speaks as `OpenAI` does, in this process: models, chat, chat as a stream, and refusals.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// Its keys: what becomes of a request depends on them.
pub(crate) const GOOD: &str = "sk-demo-good-0123456789abcdef";
pub(crate) const REVOKED: &str = "sk-demo-revoked-0123456789abcdef";
pub(crate) const THROTTLED: &str = "sk-demo-throttled-0123456789abcdef";

const MODEL: &str = "demo-1";
const WORDS: [&str; 7] = ["Hello", ", ", "this ", "is ", "a ", "fake ", "provider."];
/// Between two words of a stream.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: usize = 1024 * 1024;

/// Starts it on a free port of this machine.
pub(crate) async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    if let Some(refusal) = refuse(request.headers()) {
        return refusal;
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/models") => {
            let model = json!({"id": MODEL, "object": "model", "created": 1_700_000_000, "owned_by": "demo"});
            respond(StatusCode::OK, &json!({"object": "list", "data": [model]}))
        }
        (&Method::POST, "/v1/chat/completions") => chat(request.into_body()).await,
        _ => error(StatusCode::NOT_FOUND, "unknown_url", "there is no such URL; try /v1/models"),
    }
}

/// What the keys come to.
fn refuse(headers: &HeaderMap) -> Option<Response<Body>> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.strip_prefix("Bearer ").unwrap_or_default() {
        GOOD => None,
        THROTTLED => {
            let message = "Rate limit reached. Please try again in 20s.";
            let mut refusal = error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
            refusal.headers_mut().insert(header::RETRY_AFTER, 20.into());
            Some(refusal)
        }
        _ => Some(error(StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided.")),
    }
}

async fn chat(body: Incoming) -> Response<Body> {
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the fake provider reads 1 MiB");
    };
    let Ok(asked) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return error(StatusCode::BAD_REQUEST, "invalid_json", "We could not parse the JSON body of your request.");
    };
    if asked.get("model").and_then(Value::as_str) != Some(MODEL) {
        return error(StatusCode::NOT_FOUND, "model_not_found", "The model does not exist; there is demo-1.");
    }
    if asked.get("stream") == Some(&Value::Bool(true)) { stream() } else { whole() }
}

fn whole() -> Response<Body> {
    let message = json!({"role": "assistant", "content": WORDS.concat(), "refusal": null});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop", "logprobs": null});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10});
    respond(StatusCode::OK, &completion("chat.completion", &choice, &usage))
}

fn stream() -> Response<Body> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        for word in WORDS {
            let choice = json!({"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": null});
            let event = format!("data: {}\n\n", completion("chat.completion.chunk", &choice, &Value::Null));
            if sender.send_data(event.into()).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
        // Whoever has gone does not miss it.
        let _ = sender.send_data("data: [DONE]\n\n".into()).await;
    });
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

fn completion(object: &str, choice: &Value, usage: &Value) -> Value {
    let (id, created) = ("chatcmpl-demo", 1_700_000_000);
    json!({"id": id, "object": object, "created": created, "model": MODEL, "choices": [choice], "usage": usage})
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": code});
    respond(status, &json!({ "error": error }))
}

fn respond(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
