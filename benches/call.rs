//! A whole call through the layer, against the same call without it. Run with `cargo bench --bench call`.

mod support;

use key_commune::KeyCommuneLayer;
use support::{Bare, Keys, Template, send};
use tower::Layer;

fn main() {
    let mut criterion = support::criterion();
    let template = Template::new();
    criterion.bench_function("call, bare", |bencher| bencher.iter(|| send(&mut Bare, template.request())));
    let layer = |keys| KeyCommuneLayer::new(Keys::new(keys).pool);
    for (name, layer) in [
        ("call, 1 key: sent once", layer(1)),
        ("call, 200 keys: a template is kept", layer(200)),
        ("call, 200 keys, masked", layer(200).scrub()),
    ] {
        let mut service = layer.layer(Bare);
        criterion.bench_function(name, |bencher| bencher.iter(|| send(&mut service, template.request())));
    }
    let presenting = Template::presenting();
    let mut service = KeyCommuneLayer::new(Keys::shared(200).pool).layer(Bare);
    criterion.bench_function("call, a commune of 200 keys", |bencher| {
        bencher.iter(|| send(&mut service, presenting.request()));
    });
    criterion.final_summary();
}
