//! Every interleaving that the memory model allows of the pool's three delicate moves, run by loom:
//! `RUSTFLAGS="--cfg key_commune_loom" cargo test --lib --release models`.
