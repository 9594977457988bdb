//! What the program says when it is started wrongly: one line, status 2, no key.

use std::net::TcpListener;

use super::caller::get;
use super::program::{Proxy, command};

const KEY: &str = "sk-secret-0123456789abcdef";

/// Runs it to its end. Files are written first, environment variables are set for it.
async fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(arguments).envs(environment.iter().copied()).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!text.contains("sk-secret"), "{arguments:?}: {text}");
    text
}

async fn check(arguments: &str, says: &str) {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let environment =
        [("EMPTY", ""), ("SHORT", "short-key"), ("KNOWN", "changeme-changeme-1"), ("DOOR", "door-8f2b61c09a7d4e35")];
    let text = refused(&arguments, &environment).await;
    assert!(text.contains(says), "{arguments:?}: {text}");
}

#[tokio::test]
async fn wrong_options_are_told_in_one_line() {
    let base = "serve --upstream https://api.example";
    for (arguments, says) in [
        ("", "proxy serve"),
        ("serve", "--upstream"),
        ("nonsense", "--help"),
        (&format!("{base} --mode private"), "--keys-file, --keys-env or --key"),
        (&format!("{base} --key {KEY} sk-secret-too"), "belongs to no option"),
        (&format!("{base} --kee=sk-secret-too"), "--kee"),
        (&format!("{base} --key {KEY} --key {KEY}"), "--key number 2"),
        (&format!("{base} --key= --key {KEY}"), "--key number 1: the key is empty"),
        (&format!("{base} --key {KEY}\u{e9}"), "at byte 26"),
        (&format!("{base} --key {KEY} --mode other"), "private, commune"),
        (&format!("{base} --key {KEY} --provider nobody"), "openai, anthropic, gemini"),
        (&format!("{base} --key {KEY} --head-timeout soon"), "--head-timeout"),
        (&format!("{base} --key {KEY} --idle-timeout 0s"), "longer than 0s"),
        (&format!("{base} --key {KEY} --listen nowhere"), "127.0.0.1:8080"),
        (&format!("{base} --key {KEY} --listen 0.0.0.0:0"), "--proxy-key-env"),
        (&format!("{base} --key {KEY} --auth-header b@d"), "--auth-header"),
        (&format!("{base} --key {KEY} --keys-env NOT_SET"), "NOT_SET"),
        (&format!("{base} --keys-env EMPTY"), "there is no key"),
        (&format!("{base} --key {KEY} --proxy-key-env EMPTY"), "EMPTY: the key is empty"),
        (&format!("{base} --key {KEY} --proxy-key-env SHORT"), "16 or more"),
        (&format!("{base} --key {KEY} --proxy-key-env KNOWN"), "easy to guess"),
        (&format!("{base} --key {KEY} --allow-model ^gpt-("), "--allow-model: Invalid regex pattern: ^gpt-( (unclosed"),
        (&format!("{base} --key {KEY} --ca-file /nonexistent.pem"), "/nonexistent.pem"),
        (&format!("{base} --key {KEY} --ca-file /dev/null"), "no certificate"),
        (&format!("{base} --keys-file /nonexistent"), "/nonexistent"),
        (&format!("{base} --keys-file /"), "--keys-file /"),
        (&format!("serve --provider azure-openai --key {KEY}"), "--upstream"),
        (&format!("serve --upstream api.example --key {KEY}"), "https://"),
        (&format!("serve --upstream ftp://api.example --key {KEY}"), "https://"),
        (&format!("serve --upstream https://u:sk-secret@api.example --key {KEY}"), "password"),
        (&format!("serve --upstream https://api.example/?key=sk-secret --key {KEY}"), "query"),
        (&format!("serve --upstream http://10.0.0.5 --key {KEY}"), "--allow-http"),
        (&format!("serve --upstream http://10.0.0.5 --allow-http 10.0.0.6 --key {KEY}"), "--allow-http"),
    ] {
        check(arguments, says).await;
    }
}

#[tokio::test]
async fn keys_in_the_environment_are_told_by_their_number() {
    let arguments = ["serve", "--upstream", "https://api.example", "--keys-env", "KEYS"];
    for (value, says) in [
        ("sk-secret-1,sk-secret-2,", "KEYS, key 3: the key is empty"),
        ("sk-secret-1, sk-secret-1", "KEYS, key 2: the key sk..-1 is given twice, first as KEYS, key 1"),
        ("sk-secret 1", "at byte 9"),
    ] {
        let text = refused(&arguments, &[("KEYS", value)]).await;
        assert!(text.contains(says), "{value}: {text}");
    }
}

#[tokio::test]
async fn keys_in_a_file_are_told_by_their_line() {
    let folder = std::env::temp_dir().join(format!("key-commune-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tables: [(&[u8], &str); 12] = [
        (b"# none\n\n", "there is no key"),
        (b"# one\nsk-secret-1\n\nsk-secret-1\n", ".txt:4: the key sk..-1 is given twice, first as "),
        (b"sk-secret-1\r\nsk-s\xc3\xa9cret-2\r\n", ".txt:2: "),
        (b"sk-secret-1\nsk-\xff\n", ".txt:2: the line is not UTF-8"),
        (
            b"sk-secret-1 sk-secret-2\n",
            ".txt:1: only label=, models=, weight=, tier=, group= and base_url= may follow a key",
        ),
        (b"sk-secret-1 labels=blue\n", ".txt:1: only label="),
        (b"sk-secret-1 base_url=http://10.0.0.1\n", ".txt:1: plain http"),
        (b"sk-secret-1 base_url=nonsense\n", ".txt:1: the base URL"),
        (b"sk-secret-1 models=gpt-4,,o3\n", ".txt:1: models: the name of a model is empty"),
        (b"\nsk-secret-1 weight=two\n", ".txt:2: a weight is a whole number from 1 to 255"),
        (b"sk-secret-1 tier=256\n", ".txt:1: a tier is a whole number from 0 to 255"),
        (b"sk-secret-1 group=a label=b group=c\n", ".txt:1: group= is given twice"),
    ];
    for (index, (content, says)) in tables.iter().enumerate() {
        let file = folder.join(format!("{index}.txt"));
        std::fs::write(&file, content).unwrap();
        let file = file.display().to_string();
        let text = refused(&["serve", "--upstream", "https://api.example", "--keys-file", &file], &[]).await;
        assert!(text.contains(says), "{index}: {text}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn wrong_options_of_a_commune_too() {
    let base = "serve --upstream https://api.example";
    for (arguments, says) in [
        ("--proxy-key-env DOOR", "keys of their own"),
        ("--max-keys 0", "--max-keys"),
        ("--rate-per-caller often", "1/2s"),
        ("--rate-per-caller 0/2s", "1 or more"),
        ("--rate-per-caller 1/0s", "longer than 0s"),
        ("--burst 2", "--rate-per-caller"),
        ("--trusted-proxy 10.0.0.1/8", "--trusted-proxy"),
        ("--max-concurrent 3", "keys of the operator's"),
        ("--preset rotator", "--preset rotator is for keys of the operator's"),
        ("--preset key-commune --credit 3", "leave out --rate-per-caller and --credit"),
        ("--preset key-commune --mode private --key sk-secret-0123456789", "for a commune"),
    ] {
        check(&format!("{base} {arguments}"), says).await;
    }
}

#[tokio::test]
async fn wrong_options_of_routing_are_told_too() {
    let base = format!("serve --upstream https://api.example --key {KEY}");
    let limits = "--rps-per-key --rpm-per-key --rpd-per-key --tpm-per-key --max-concurrent-per-key \
                  --max-concurrent-per-model --rps --rpm --tpm --max-concurrent --burst";
    for limit in limits.split_whitespace() {
        for (value, says) in [
            ("0", "0 would admit nobody; leave the option out"),
            ("1/2", "a whole number from 1 to 10"),
            ("1.5", "a whole number from 1 to 10"),
            ("99999999999999", "a whole number from 1 to 10"),
            ("=-1", "a whole number from 1 to 10"),
        ] {
            let arguments = format!("{base} {limit} {value}").replace(" =", "=");
            check(&arguments, limit).await;
            check(&arguments, says).await;
        }
    }
    for (arguments, says) in [
        ("--burst 3", "--burst: there is no rate to go beyond; give --rps-per-key"),
        ("--burst 3 --rpd-per-key 9", "--burst: there is no rate to go beyond"),
        ("--rate-per-caller 1/2s", "--rate-per-caller is for a commune"),
        ("--credit 1", "--credit is for a commune"),
        ("--max-keys 5", "--max-keys is for a commune"),
        ("--strategy fastest", "two-choices, round-robin, least-used, sticky, peak-ewma, fill-first"),
        ("--daily-reset 25:00", "a time of day is needed, such as 08:00"),
        ("--daily-reset soon", "a time of day is needed, such as 08:00"),
        ("--learn-pace maybe", "true, false"),
        ("--heed-limits maybe", "true, false"),
        ("--preset nobody", "key-commune, key-cycle, api-key-lb, rotator"),
        ("--preset key-commune", "for a commune"),
        ("--allow-path (", "--allow-path: Invalid regex pattern: ("),
        ("--allow-query v", "--allow-query"),
        ("--allow-query v=(", "--allow-query: Invalid regex pattern"),
        ("--allow-field =x", "a name, = and a pattern are needed"),
        ("--allow-field v=[", "--allow-field: Invalid regex pattern"),
        ("--keep-field plugins", "--keep-field spares what stands beside a judged model"),
        ("--strip-prefix /", "what stands before the slash is needed"),
        ("--drop-field=", "the name of a member is needed"),
    ] {
        check(&format!("{base} {arguments}"), says).await;
    }
}

#[tokio::test]
async fn a_taken_port_and_a_wrong_filter_are_told_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let arguments = ["serve", "--upstream", "https://api.example", "--key", KEY, "--listen", &address];
    let text = refused(&arguments, &[]).await;
    assert!(text.contains("in use"), "{text}");
    let text = refused(&["demo", "--listen", "127.0.0.1:0"], &[("RUST_LOG", "a=b=c")]).await;
    assert!(text.contains("RUST_LOG"), "{text}");
}

#[tokio::test]
async fn the_help_says_all_there_is_to_know() {
    let output = command(&["serve", "--help"]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for word in
        ["--upstream", "--keys-file", "label=", "RUST_LOG", "[default: 10m]", "process list", "--drain", "commune"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let headings: Vec<_> = text.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    let expected = [
        "Options:",
        "Keys:",
        "Which key serves:",
        "Limits (of the operator's keys):",
        "What is let through, and changed:",
        "Store:",
        "Commune:",
    ];
    assert_eq!(headings, expected);
}

#[tokio::test]
async fn a_key_of_a_file_goes_to_its_own_place() {
    let (own, other) = (super::Provider::start(), super::Provider::start());
    let file = std::env::temp_dir().join(format!("key-commune-proxy-{}.keys", std::process::id()));
    let line = format!("# blue's\n{KEY} label=blue base_url=http://{}/deep/v1 # not the pool's\n", own.address);
    std::fs::write(&file, line).unwrap();
    let proxy = Proxy::serve(&other, &["--keys-file", &file.display().to_string()]).await;
    assert_eq!(get(proxy.address, "/v1/models?a=1").await.status, 200);
    assert_eq!(own.only().line, "GET /deep/v1/models?a=1");
    assert!(other.seen().is_empty());
    std::fs::remove_file(file).unwrap();
}
