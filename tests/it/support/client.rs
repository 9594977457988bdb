//! The layer around a provider in the test's hands, and what comes out of it.

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use key_commune::pool::KeyPool;
use key_commune::service::{ReplayBody, ResponseBody};
use key_commune::{KeyCommune, KeyCommuneLayer, Refusal, Served};
use tower::{Layer, Service, ServiceExt};

use super::stepped::{Stepped, map};
use super::upstream::{Oops, Upstream};

pub(crate) const CHAT: &str = "https://api.openai.com/v1/chat/completions";

/// A layer with nothing switched on.
pub(crate) fn client(pool: &KeyPool, upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool.clone()).layer(upstream.clone())
}

pub(crate) fn post(body: &str) -> Request<Stepped> {
    to(CHAT, &[], Stepped::full(body.to_owned()))
}

pub(crate) fn to(uri: &str, headers: &[(&str, &str)], body: Stepped) -> Request<Stepped> {
    let mut request = Request::post(uri).body(body).unwrap();
    *request.headers_mut() = map(headers);
    request
}

/// Sends a request by a clone of the client.
pub(crate) async fn send<S>(
    client: &KeyCommune<S>,
    request: Request<Stepped>,
) -> Result<Response<ResponseBody<Stepped>>, Oops>
where
    S: Service<Request<ReplayBody<Stepped>>, Response = Response<Stepped>, Error = Oops> + Clone,
{
    client.clone().ready().await?.call(request).await
}

/// Sends a request and reads its answer.
pub(crate) async fn fetch<S>(client: &KeyCommune<S>, request: Request<Stepped>) -> Got
where
    S: Service<Request<ReplayBody<Stepped>>, Response = Response<Stepped>, Error = Oops> + Clone,
{
    read(send(client, request).await.unwrap()).await
}

/// An answer as its caller has it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) served: Option<Served>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) broken: Option<Oops>,
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and `Retry-After`.
    pub(crate) fn told(&self) -> (u16, Option<&str>) {
        (self.status.as_u16(), self.header("retry-after"))
    }
}

pub(crate) async fn read<R: Body<Error = Oops> + Unpin>(response: Response<ResponseBody<R>>) -> Got {
    let (head, mut body) = response.into_parts();
    let mut got = Got {
        status: head.status,
        headers: head.headers,
        served: body.served().copied(),
        refusal: head.extensions.get().cloned(),
        body: Vec::new(),
        trailers: None,
        broken: None,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => got.body.extend_from_slice(&data),
            Ok(Err(frame)) => got.trailers = frame.into_trailers().ok(),
            Err(error) => {
                got.broken = Some(error);
                break;
            }
        }
    }
    got
}

pub(crate) fn in_flight(pool: &KeyPool) -> u32 {
    pool.snapshot().members.iter().map(|member| member.in_flight).sum()
}

/// I24: nothing is in flight and nobody waits.
pub(crate) fn assert_idle(pool: &KeyPool) {
    assert_eq!((in_flight(pool), pool.snapshot().waiting), (0, 0));
}
