//! The id of a response, found in the answer that gives it: what follows that response has to go to the same key.
//!
//! `OpenAI`'s Responses name it as `id` of the answer, or as `response.id` of the first event of a stream. It is looked for
//! in the beginning of an answer as it passes; nothing but the word under way is kept.

use std::borrow::Cow;
use std::ops::ControlFlow;

use bufjson::lexical::Token;
use bytes::Bytes;
use http::{Method, request, response};

use super::proof::{is_events, is_json};
use crate::demand::{Demand, LONGEST, short};
use crate::usage::{Events, Texts, Tokens};

/// How much of an answer is looked at, in bytes: what comes before the id is a few names and numbers.
const BOUND: usize = 64 << 10;

/// Whether the answer to a request may be a response that can be followed.
pub(super) fn may_be_followed(head: &request::Parts) -> bool {
    head.method == Method::POST && head.uri.path().ends_with("/responses")
}

/// Looks at one answer as it passes.
pub(super) struct Follow {
    /// If it is an event stream.
    events: Option<Events>,
    look: Look,
    left: usize,
}

impl Follow {
    /// For an answer in JSON, or of events.
    pub(super) fn new(head: &response::Parts) -> Option<Self> {
        let (events, home) = if is_events(head) { (Some(Events::default()), 2) } else { (None, 1) };
        let look = Look { tokens: Tokens::default(), sight: Sight { home, ..Sight::default() } };
        (events.is_some() || is_json(head)).then_some(Self { events, look, left: BOUND })
    }

    /// Breaks off with the id, or without one if it is not in the beginning.
    pub(super) fn see(&mut self, chunk: &Bytes) -> ControlFlow<Option<Box<str>>> {
        let chunk = chunk.slice(..chunk.len().min(self.left));
        self.left -= chunk.len();
        match &mut self.events {
            Some(events) => events.feed(&chunk, &mut self.look),
            None => self.look.read(&chunk),
        }
        match self.look.sight.found() {
            None if self.left > 0 => ControlFlow::Continue(()),
            found => ControlFlow::Break(found.map(Into::into)),
        }
    }
}

struct Look {
    tokens: Tokens,
    sight: Sight,
}

impl Texts for Look {
    const WORD: &'static [u8] = b"\"id\"";

    fn restart(&mut self) {
        if self.sight.found().is_none() {
            self.tokens = Tokens::default();
            self.sight = Sight { home: self.sight.home, ..Sight::default() };
        }
    }

    fn read(&mut self, chunk: &Bytes) {
        self.tokens.read(chunk, |token, piece, ends| self.sight.see(token, piece, ends));
    }
}

/// What has been seen of a text, and where in it that is.
#[derive(Default)]
struct Sight {
    /// How deep the response lies: it is the text itself, or the member `response` of it.
    home: usize,
    depth: usize,
    /// How far down the way there is the way to the response.
    met: usize,
    member: Member,
    /// The string under way, as it is written.
    word: Vec<u8>,
    id: Option<Box<str>>,
    is_response: bool,
}

/// What the next string is, or the value of which member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    #[default]
    Name,
    Id,
    Object,
    Response,
    Other,
}

impl Sight {
    /// The id of what is a response, by the id or by its own word.
    fn found(&self) -> Option<&str> {
        self.id.as_deref().filter(|id| self.is_response || id.starts_with("resp_"))
    }

    fn see(&mut self, token: Token, piece: &[u8], ends: bool) {
        let counts = self.depth == self.met && self.found().is_none();
        match token {
            Token::ObjBegin | Token::ArrBegin => self.enter(token),
            Token::ObjEnd | Token::ArrEnd => self.leave(),
            Token::ValueSep if counts => self.member = Member::Name,
            Token::Str if counts => self.keep(piece, ends),
            _ => {}
        }
    }

    fn enter(&mut self, token: Token) {
        let leads = self.depth == 0 || (self.depth < self.home && self.member == Member::Response);
        if leads && self.depth == self.met && token == Token::ObjBegin {
            self.met += 1;
            self.member = Member::Name;
        }
        self.depth += 1;
    }

    fn leave(&mut self) {
        if self.depth == self.met {
            self.met = self.met.saturating_sub(1);
            self.member = Member::Other;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// One byte more than counts tells a word that is too long from those that are not.
    fn keep(&mut self, piece: &[u8], ends: bool) {
        let room = (LONGEST + 1).saturating_sub(self.word.len());
        self.word.extend(piece.iter().take(room));
        if ends {
            let word = std::mem::take(&mut self.word);
            self.note(short(&word).unwrap_or_default());
        }
    }

    fn note(&mut self, word: Cow<'_, str>) {
        match self.member {
            Member::Name => self.member = self.member_called(&word),
            Member::Id if Demand::is_name(&word) => self.id = Some(word.into()),
            Member::Object => self.is_response = word == "response",
            _ => {}
        }
    }

    fn member_called(&self, name: &str) -> Member {
        match name {
            "id" if self.met == self.home => Member::Id,
            "object" if self.met == self.home => Member::Object,
            "response" if self.met < self.home => Member::Response,
            _ => Member::Other,
        }
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::pool::{Commune, KeyPool};
    use crate::provider::Provider;
    use crate::service::script::{Script, Step};
    use crate::service::{KeyCommuneLayer, ReplayBody};

    const JSON: &str = "application/json";
    const EVENTS: &str = "text/event-stream; charset=utf-8";
    const ANSWER: &str = r#"{"id":"resp_1","object":"response","output":[{"id":"msg_1","content":[]}],"usage":{}}"#;
    const STREAM: &str = concat!(
        ": working\n\nevent: response.created\n",
        r#"data: {"type":"response.created","response":{"id":"resp_1","object":"response","output":[]}}"#,
        "\n\n",
        r#"data: {"type":"response.output_text.delta","item_id":"msg_1","delta":"Hi"}"#,
        "\n\ndata: [DONE]\n\n",
    );

    fn pool() -> KeyPool {
        KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"]).unwrap()
    }

    fn post(path: &str) -> Request<Full<Bytes>> {
        let request = Request::post(format!("https://api.openai.com{path}"));
        request.header("authorization", "Bearer sk-own-0123456789").body(Full::default()).unwrap()
    }

    fn head(kind: &str) -> response::Builder {
        Response::builder().header("content-type", kind)
    }

    fn follow(kind: &str) -> Follow {
        Follow::new(&head(kind).body(()).unwrap().into_parts().0).unwrap()
    }

    /// Whether the pool knows `resp_1` as one of the key that served it, once all of the answer is read.
    async fn learns(
        pool: &KeyPool,
        layer: &KeyCommuneLayer,
        request: Request<Full<Bytes>>,
        answer: Response<Script>,
    ) -> bool {
        let answer = std::sync::Arc::new(std::sync::Mutex::new(Some(answer)));
        let inner = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
            let answer = answer.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut body = layer.layer(inner).oneshot(request).await.unwrap().into_body();
        let served = body.served().unwrap().key;
        while let Some(Ok(_)) = body.frame().await {}
        let known = pool.owner_of_response(&Demand::default().previous_response("resp_1"));
        assert!(known.is_none_or(|known| known == served));
        known.is_some()
    }

    async fn learns_from(pool: &KeyPool, answer: Response<Script>) -> bool {
        let layer = KeyCommuneLayer::new(pool.clone()).follow_responses(true);
        learns(pool, &layer, post("/v1/responses?x"), answer).await
    }

    #[tokio::test]
    async fn the_key_of_a_response_is_learned_wherever_the_answer_is_cut() {
        for (kind, text) in [(JSON, ANSWER), (EVENTS, STREAM)] {
            for cut in 0..=text.len() {
                let (one, two) = text.split_at(cut);
                let answer = head(kind).body(Script::of([one, two])).unwrap();
                assert!(learns_from(&pool(), answer).await, "{kind} cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn it_is_known_before_the_stream_has_ended() {
        let body = Script::new([Step::Data(STREAM[..110].into()), Step::Error]);
        assert!(learns_from(&pool(), head(EVENTS).body(body).unwrap()).await);
    }

    /// Or a caller could go on with what another has asked.
    #[tokio::test]
    async fn i17_in_a_commune_nothing_is_learned() {
        let pool = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).build().unwrap();
        assert!(!learns_from(&pool, head(JSON).body(Script::of([ANSWER])).unwrap()).await);
    }

    #[tokio::test]
    async fn only_good_answers_that_can_be_followed_are_read() {
        let plain = || head(JSON);
        let get = || Request::get("https://api.openai.com/v1/responses").body(Full::default()).unwrap();
        for (request, answer, follows, expected) in [
            (post("/v1/responses"), plain(), true, true),
            (post("/v1/responses"), plain(), false, false),
            (post("/v1/responses/resp_1/cancel"), plain(), true, false),
            (post("/v1/chat/completions"), plain(), true, false),
            (get(), plain(), true, false),
            (post("/v1/responses"), plain().status(400), true, false),
            (post("/v1/responses"), head("text/plain"), true, false),
            (post("/v1/responses"), plain().header("content-encoding", "gzip"), true, false),
        ] {
            let (pool, told) = (pool(), format!("{request:?} {answer:?} {follows}"));
            let layer = KeyCommuneLayer::new(pool.clone()).follow_responses(follows);
            let answer = answer.body(Script::of([ANSWER])).unwrap();
            assert_eq!(learns(&pool, &layer, request, answer).await, expected, "{told}");
        }
    }

    fn found(kind: &str, text: &str) -> Option<String> {
        match follow(kind).see(&Bytes::copy_from_slice(text.as_bytes())) {
            ControlFlow::Break(id) => id.map(Into::into),
            ControlFlow::Continue(()) => None,
        }
    }

    #[test]
    fn an_answer_tells_its_own_id_and_no_other() {
        for (text, expected) in [
            (r#"{"object":"response","id":"abc"}"#, Some("abc")),
            (r#"{"id":"abc","x":{"id":"no","object":"no"},"object":"response"}"#, Some("abc")),
            (r#"{"x":[{"id":"resp_2"},["id","resp_3"]],"id":"resp_1"}"#, Some("resp_1")),
            (r#" {"\u0069d" : "r\u0065sp_1\"é" "#, Some("resp_1\"é")),
            (r#"{"id":"resp_1""#, Some("resp_1")),
            (r#"{"id":"chatcmpl-1","object":"chat.completion"}"#, None),
            (r#"{"id":"","object":"response"}"#, None),
            (r#"{"id":7,"object":"response"}"#, None),
            (r#"{"x":"id","object":"response"}"#, None),
            (r#"{"response":{"id":"resp_1"}}"#, None),
            (r#"[{"id":"resp_1"}]"#, None),
            (r#"{"id":"resp_"#, None),
            ("", None),
        ] {
            assert_eq!(found(JSON, text).as_deref(), expected, "{text}");
        }
        let long = |length: usize| format!(r#"{{"id":"resp_{}"}}"#, "x".repeat(length));
        assert!(found(JSON, &long(Demand::MAX_LEN - 5)).is_some() && found(JSON, &long(Demand::MAX_LEN - 4)).is_none());
    }

    #[test]
    fn an_event_tells_the_id_of_its_response() {
        for (text, expected) in [
            ("data: {\"type\":\"ping\"}\r\n\r\ndata: {\"response\":{\"id\":\"resp_1\"}}\r\n\r\n", Some("resp_1")),
            ("data: {\"response\":{\"id\":\"a\",\"object\":\"response\"}}\n\n", Some("a")),
            ("data: {\"response\":\ndata: {\"id\":\"resp_1\"}}\n\n", Some("resp_1")),
            (
                "data: {\"response\":{\"id\":\"resp_1\"}}\n\ndata: {\"response\":{\"id\":\"resp_2\"}}\n\n",
                Some("resp_1"),
            ),
            ("data: no \"id\"\n\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n", Some("resp_1")),
            ("data: {\"id\":\"resp_1\"}\n\n", None),
            ("data: {\"x\":{\"id\":\"resp_1\"}}\n\n", None),
            ("data: {\"response\":[{\"id\":\"resp_1\"}]}\n\n", None),
            ("data: {\"response\":{\"x\":{\"id\":\"resp_1\"}}}\n\n", None),
            ("data: {\"x\":{\"response\":{\"id\":\"resp_1\"}}}\n\n", None),
            ("data: {\"response\":{\"id\":\"a\"}}\n\ndata: {\"response\":{\"object\":\"response\"}}\n\n", None),
            ("event: \"id\"\nid: resp_1\n\n", None),
        ] {
            assert_eq!(found(EVENTS, text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn i7_only_the_beginning_is_looked_at_and_only_a_word_is_kept() {
        for (kind, start, end) in [
            (JSON, "{\"x\":\"", "\",\"id\":\"resp_1\""),
            (EVENTS, "data: {\"x\":\"", "\",\"response\":{\"id\":\"resp_1\""),
        ] {
            let padded = |size: usize| format!("{start}{}{end}}}", "x".repeat(size));
            let room = BOUND - start.len() - end.len();
            assert!(found(kind, &padded(room)).is_some() && found(kind, &padded(room + 1)).is_none(), "{kind}");
        }
        let mut follow = follow(JSON);
        assert!(follow.see(&Bytes::from("{\"id\":\"")).is_continue());
        for round in 1..=64 {
            assert_eq!(follow.see(&Bytes::from(vec![b'x'; 1 << 10])).is_continue(), round < 64);
            assert!(follow.look.sight.word.len() <= LONGEST + 1);
        }
    }
}
