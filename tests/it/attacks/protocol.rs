//! Group I, and trailers: framing, hops.

use crate::support::{CHAT, Step, Stepped, Upstream, client, fetch, key, map, ok, streamed, timed, to};

#[tokio::test(start_paused = true)]
async fn attack_14_trailers_carry_no_credentials_either_way() {
    let trailers = || map(&[("authorization", "Bearer x"), ("set-cookie", "a"), ("host", "evil"), ("x-sum", "1")]);
    let upstream =
        Upstream::in_turn(move |_| streamed(200, &[], Stepped::chunks(["a"]).then(Step::Trailers(trailers()))));
    let got = fetch(&client(&timed(1), &upstream), to(CHAT, &[], Stepped::chunks(["a"]))).await;
    assert_eq!(got.trailers, Some(map(&[("x-sum", "1")])));
    let body = Stepped::chunks(["a"]).then(Step::Trailers(trailers()));
    fetch(&client(&timed(1), &upstream), to(CHAT, &[], body)).await;
    assert_eq!(upstream.last().trailers, Some(map(&[("x-sum", "1")])), "and on the way out");
    let body = Stepped::chunks(["a"]).then(Step::Trailers(trailers()));
    fetch(&client(&timed(1), &upstream), to("https://other.example/", &[], body)).await;
    assert_eq!(upstream.last().trailers, Some(trailers()), "I1: untouched elsewhere");
}

#[tokio::test(start_paused = true)]
async fn attack_69_whatever_frames_a_request_claims_its_body_is_sent_whole() {
    let claims: [&[(&str, &str)]; 9] = [
        &[("content-length", "0")],
        &[("content-length", "5, 5")],
        &[("content-length", "3"), ("content-length", "7")],
        &[("content-length", "-1")],
        &[("transfer-encoding", "identity, chunked")],
        &[("transfer-encoding", "chunked"), ("content-length", "1")],
        &[("transfer-encoding", "\u{b}chunked")],
        &[("te", "chunked"), ("trailer", "content-length")],
        &[("expect", "100-continue"), ("http2-settings", "AAMAAABk")],
    ];
    for sent in claims {
        for body in [Stepped::full("0123456789"), Stepped::chunks(["01234", "56789"])] {
            let upstream = Upstream::in_turn(|_| ok());
            let known: Vec<_> = sent.iter().copied().filter(|(_, value)| !value.contains('\u{b}')).collect();
            fetch(&client(&timed(1), &upstream), to(CHAT, &known, body)).await;
            assert_eq!((upstream.count(), upstream.last().body.as_slice()), (1, &b"0123456789"[..]));
            assert_eq!(upstream.last().headers, map(&[("authorization", &format!("Bearer {}", key(0)))]), "{sent:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_70_what_belongs_to_one_hop_ends_there_both_ways() {
    let hop = [
        ("connection", "x-nominated, keep-alive"),
        ("x-nominated", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authorization", "Basic x"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("x-end-to-end", "1"),
    ];
    let upstream = Upstream::in_turn(move |_| {
        let mut response = streamed(200, &hop, Stepped::full("a"));
        response.headers_mut().extend(map(&[("set-cookie", "a=1"), ("upgrade", "h2c")]));
        response
    });
    let got = fetch(&client(&timed(1), &upstream), to(CHAT, &hop, Stepped::full("a"))).await;
    assert_eq!(got.headers, map(&[("x-end-to-end", "1")]));
    let sent = [("x-end-to-end", "1"), ("authorization", &format!("Bearer {}", key(0)))];
    assert_eq!(upstream.last().headers, map(&sent));
}
