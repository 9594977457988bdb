//! The attacks, by their numbers in the security analysis; the tests here are those on a private pool. Where a test stands
//! elsewhere, this list says so; none is missing. `hostile` is `proxy::hostile`: callers that write bytes to a commune that
//! runs.
//!
//! | attack | test |
//! |---|---|
//! | 1 absolute-form target | `destination::attack_01_…`, `origin::i1_foreign_targets_are_not_covered` |
//! | 2 joining tricks | `destination::attack_02_…`, `origin::i1_joining_tricks_are_refused_or_harmless` |
//! | 3 Host confusion | `destination::attack_03_…`, hygiene unit tests |
//! | 4 redirects | `destination::attack_04_…` |
//! | 5 base URL of a key | `service::origin::i1_a_key_with_its_own_origin_is_sent_there_and_nowhere_else`; sealed: later issue |
//! | 6 path escape | `destination::attack_06_…`, `origin::i1_no_spelling_of_a_traversal_passes` |
//! | 7 destination chosen by the caller | `destination::attack_07_…` |
//! | 8 plain http | `origin::i1_ambiguous_urls_are_no_origins` |
//! | 9 proxies of the environment, loops | proxy |
//! | 10, 12 other credentials | `service::credentials::i2_of_sixty_credentials_only_ours_is_sent` |
//! | 11 credentials in the query | `service::credentials::i2_the_key_sits_where_its_provider_wants_it_and_only_there` |
//! | 13 account selectors | `hostile::borders::attack_13_…`, `commune::hygiene::attack_13_…`, and that of 10 |
//! | 14 malformed credentials, trailers | `slot::i2_bearer_…`, `protocol::attack_14_…` |
//! | 15 headers of the owner | `hostile::borders::attack_15_…`, `commune::hygiene::attack_15_…`; cookies: `protocol::attack_70_…` |
//! | 16 full echo | `echo::attack_16_…`, `service::scrub`, `scrub` |
//! | 17 partial or encoded echo | `hostile::borders::attack_17_…` (2), `echo::attack_17_…`, `service::scrub::i18_an_answer_that_is_encoded_…`, `commune::hygiene::attack_16_and_17_…`; UTF-16: not looked for |
//! | 18 echo in our errors | `echo::attack_18_…` |
//! | 19 errors in a stream | `echo::attack_19_…`, `service::peek` |
//! | 20 joining without proof | `hostile::joining::attack_20_…`, `commune::proof`; no control by a random key: the layer sends no request of its own |
//! | 21 200 with an error | `hostile::joining::attack_21_…`, `commune::proof::only_a_clean_answer_…` |
//! | 22 strike washing | `hostile::joining::attack_22_…`, `commune::proof::strikes_are_not_washed_off_…` |
//! | 23 junk that fills the seats | `hostile::joining::attack_23_…`; keys that do work may fill them: who comes later is served with its own, `proxy::commune::only_so_many_keys_join` |
//! | 24 leeching | `hostile::joining::attack_24_…`, `commune::membership::a_member_whose_key_fails_…`, `commune::membership::attack_24_…` |
//! | 25 one key, many callers | `hostile::spelling::attack_25_…`, `commune::membership::callers_present_their_keys_…` |
//! | 26 what belongs to somebody | `hostile::tenants::attack_26_…`, `commune::membership::calls_that_leave_something_behind_…`; what a shared call's body names (`store`, ids of files) is not looked at |
//! | 27, 28 what owners see, what caches tell | cannot be met: said in the documentation |
//! | 29 caches | there is none |
//! | 30 sticky sessions | hashed with the pepper: `select::sessions_know_their_keys_by_the_pepper_…`, `select::sessions_use_all_keys_evenly` |
//! | 31 a stranger's failure | `hostile::poison::attack_31_…` (2), `commune::attribution`, `service::caller_faults` |
//! | 32 burst | `hostile::poison::attack_32_…`, `commune::attribution::k_concurrent_failures_…`, `health::attack_32_…`, `pool::i6_a_burst_of_failures_is_one_strike` |
//! | 33 stale outcome | `hostile::poison::attack_33_…`, `pool::i5_i6_attack_33_…`, `health::attack_33_…` |
//! | 34 removed key | `hostile::poison::attack_34_…`, `pool::attack_34_…`, `health::attack_34_…` |
//! | 35 mass failure | `hostile::poison::attack_35_…`, `pool::i15_attack_35_…`, `service::outage` |
//! | 36 malicious `Retry-After` | `hostile::poison::attack_36_…`; the clamp: `health::attack_36_…`, `service::hints` |
//! | 37 cancelled to hide the outcome | `hostile::poison::attack_37_…`, `health::attack_37_…` |
//! | 38 captured probe | `hostile::poison::attack_38_…`; one that stalls: `health::attack_38_…`, `pool::i16_attack_38_…` |
//! | 39 nominated header | `hostile::borders::attack_39_…`, `health::attack_39_…` |
//! | 40 guessing from ids | ids are keyed by the store's pepper: `store::encrypted::the_sealed_form_is_what_it_is_said_to_be` |
//! | 41, 42, 43 sealed secrets moved, cut, repeated | `store::encrypted::a41_…` (2), `a42_…` (2), `a43_…` |
//! | 44 another master key | `store::rotated::a44_…` (4), `store::encrypted::a44_…` (3), `keytool::serving::a44_…`, `keytool::rotating` |
//! | 45 clear text | `store::encrypted::a45_…` (2), `store::rotated::a45_…` (2) |
//! | 46 old rows put back | `keeper::replicas::a46_…`: memory wins, and tells again; over a restart it cannot be told |
//! | 47 keys as SQL | `store::sqlite::a47_…` |
//! | 48 modes and leftovers | `store::sqlite::a48_…` (2), `store::encrypted::a48_…` |
//! | 49 unprintable | `secrets::attack_49_…` |
//! | 50 logs and labels | later issue (metrics) |
//! | 51 remnants in memory | later issue: buffers are wiped by `secret`, no test looks at freed memory |
//! | 52, 54, 56 proxy keys | proxy |
//! | 53 ids, 55 cut cache keys | `secrets::attack_55_…`; ids as credentials: later issue (commune) |
//! | 57 unbounded maps | `hostile::crowd`, `benches/crowd.rs` (10 million callers); a private pool maps its own keys only |
//! | 58 giant bodies | `limits::attack_58_…`, `service::replay` |
//! | 59 JSON bombs | `json::attack_59_…`, `rules::attack_59_…` |
//! | 60 model routing | `json::attack_60_…`, `rules::attack_60_…`, `service::inspect`, `proxy::models` |
//! | 61, 62 slow peers | proxy |
//! | 63 retry storm | `service::budget::i23_attack_63_…` |
//! | 64 double billing | `limits::attack_64_…` |
//! | 65 herd | `service::figures::a_throttled_key_comes_back_by_itself_with_one_probe` |
//! | 66 crash by input | `limits::attack_66_…` |
//! | 67 queueing | `limits::attack_67_…` |
//! | 68 bytes in keys | `slot::i2_every_byte_at_every_place_of_a_key`, `limits::attack_68_…` |
//! | 69 smuggling | `protocol::attack_69_…` |
//! | 70 hop-by-hop | `protocol::attack_70_…` |
//! | 71 tunnels | `service::credentials::i2_tunnels_get_501` |
//! | 72 HTTP/2 floods | proxy |
//! | 73 clock jumps | `limits::attack_73_…`; stored deadlines: `record::a_restored_deadline_…`, `keeper::restarts::a_deadline_of_a_clock_…` |
//! | 74 parsing of `Retry-After` | `hints`, `service::hints`, `health::attack_36_…` |
//! | 75 overflow | `limits::attack_75_…` |
//! | 76 killed | `store::killed::i13_a76_…` (200 rounds), `keeper::killed` |
//! | 77 full, read-only, locked, damaged | `store::faults::a77_…` (6), `store::sqlite::a77_…`, `keeper::faults`, `keytool::serving::i12_…` |
//! | 78, 79, 80 Redis | later issue |
//! | 81 a removed key comes back | `record::i20_a_removed_key_…`, `keeper::replicas::what_others_change_…`, `keeper::restarts::a_removed_key_…` |
//! | 82 shutdown | `keeper::faults::a_shutdown_…`, `keytool::serving`, `proxy::leaving` |
//! | 83 versions side by side | the schema has a number, and a later one is refused: `store::sqlite::a_file_that_is_not_ours_…` |
//! | 84 cancelled futures | `service::cancel` |
//! | 85 panics in hooks | `pool::attack_85_…`, `service::inspect::attack_85_…` |
//! | 86 Tower contract | `service::readiness::attack_86_…`; every test: the scripted provider panics when called unready |
//! | 87 background tasks | `keeper::faults::a87_…` |
//! | 88 weak memory | loom models of `pool` |
//! | 89 to 93 | later issue |

mod destination;
mod echo;
mod health;
mod limits;
mod protocol;
mod secrets;
