//! Group D: calls that leave something behind, or read what somebody left.

use super::World;

/// Calls that any key may serve, by provider.
const SHARED: [(&str, &[&str]); 3] = [
    ("openai", &["POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings"]),
    ("anthropic", &["POST /v1/messages", "POST /v1/messages/count_tokens"]),
    ("openrouter", &["POST /api/v1/chat/completions", "POST /api/v1/completions", "POST /api/v1/messages"]),
];

const OPENAI: [&str; 60] = [
    "GET /v1/models",
    "GET /v1/models/gpt-4o",
    "DELETE /v1/models/ft:gpt-4o:org::id",
    "GET /v1/files",
    "POST /v1/files",
    "GET /v1/files/file-1",
    "DELETE /v1/files/file-1",
    "GET /v1/files/file-1/content",
    "POST /v1/uploads",
    "POST /v1/uploads/upload_1/parts",
    "POST /v1/uploads/upload_1/complete",
    "POST /v1/assistants",
    "GET /v1/assistants",
    "DELETE /v1/assistants/asst_1",
    "POST /v1/threads",
    "GET /v1/threads/thread_1",
    "DELETE /v1/threads/thread_1",
    "GET /v1/threads/thread_1/messages",
    "POST /v1/threads/thread_1/messages",
    "POST /v1/threads/thread_1/runs",
    "POST /v1/threads/runs",
    "POST /v1/threads/thread_1/runs/run_1/submit_tool_outputs",
    "POST /v1/batches",
    "GET /v1/batches",
    "GET /v1/batches/batch_1",
    "POST /v1/batches/batch_1/cancel",
    "POST /v1/responses",
    "GET /v1/responses/resp_1",
    "DELETE /v1/responses/resp_1",
    "POST /v1/responses/resp_1/cancel",
    "GET /v1/responses/resp_1/input_items",
    "POST /v1/conversations",
    "GET /v1/conversations/conv_1/items",
    "GET /v1/chat/completions",
    "GET /v1/chat/completions/chatcmpl-1",
    "POST /v1/chat/completions/chatcmpl-1",
    "DELETE /v1/chat/completions/chatcmpl-1",
    "GET /v1/chat/completions/chatcmpl-1/messages",
    "POST /v1/vector_stores",
    "GET /v1/vector_stores",
    "POST /v1/vector_stores/vs_1/search",
    "POST /v1/vector_stores/vs_1/files",
    "DELETE /v1/vector_stores/vs_1",
    "POST /v1/fine_tuning/jobs",
    "POST /v1/fine_tuning/jobs/ftjob-1/cancel",
    "GET /v1/fine_tuning/checkpoints/ckpt/permissions",
    "POST /v1/evals",
    "POST /v1/containers",
    "GET /v1/containers/cntr_1/files/cfile_1/content",
    "POST /v1/videos",
    "GET /v1/videos/video_1/content",
    "POST /v1/images/generations",
    "POST /v1/audio/transcriptions",
    "POST /v1/realtime/sessions",
    "GET /v1/organization/costs",
    "GET /v1/organization/api_keys",
    "POST /v1/organization/invites",
    "GET /dashboard/billing/credit_grants",
    "PUT /v1/chat/completions",
    "DELETE /v1/chat/completions",
];

const ANTHROPIC: [&str; 16] = [
    "GET /v1/models",
    "POST /v1/messages/batches",
    "GET /v1/messages/batches",
    "GET /v1/messages/batches/msgbatch_1",
    "GET /v1/messages/batches/msgbatch_1/results",
    "POST /v1/messages/batches/msgbatch_1/cancel",
    "DELETE /v1/messages/batches/msgbatch_1",
    "POST /v1/files",
    "GET /v1/files/file_1/content",
    "DELETE /v1/files/file_1",
    "POST /v1/skills",
    "DELETE /v1/skills/skill_1",
    "GET /v1/organizations/api_keys",
    "POST /v1/organizations/invites",
    "POST /v1/complete",
    "GET /v1/messages",
];

const OPENROUTER: [&str; 14] = [
    "GET /api/v1/models",
    "GET /api/v1/key",
    "GET /api/v1/keys",
    "POST /api/v1/keys",
    "PATCH /api/v1/keys/hash",
    "DELETE /api/v1/keys/hash",
    "GET /api/v1/credits",
    "POST /api/v1/credits/coinbase",
    "GET /api/v1/generation?id=gen-1",
    "GET /api/v1/activity",
    "POST /api/v1/auth/keys",
    "POST /api/v1/responses",
    "GET /api/v1/guardrails",
    "DELETE /api/v1/chat/completions",
];

/// The shared call, spelt so that a server behind the provider's might take it for something else, or the other way round.
const TRICKS: [&str; 10] = [
    "POST /v1/files/..%2fchat/completions",
    "POST /v1/chat/completions/../../files",
    "POST /v1/files/%2e%2e/chat/completions",
    "POST /v1/files;/chat/completions/",
    "POST /v1/files?/chat/completions",
    "POST /v1/files#/chat/completions",
    "POST /v1/files%3f/v1/chat/completions%2f",
    "POST /v1/chat/completions%2f..%2f..%2ffiles",
    "POST /v1/files\\chat/completions",
    "POST /v1/xchat/Completions",
];

/// The keys that calls of member 1 use.
async fn keys_of(world: &World, calls: usize, line: &str) -> std::collections::BTreeSet<usize> {
    for _ in 0..calls {
        world.ask(1, line, "x-http-method-override: POST\r\n").await;
    }
    world.used()
}

#[tokio::test]
async fn attack_26_what_belongs_to_somebody_is_asked_for_with_the_callers_own_key() {
    let lists: [&[&str]; 3] = [&OPENAI, &ANTHROPIC, &OPENROUTER];
    for ((provider, shared), own) in SHARED.into_iter().zip(lists) {
        let upstream_and_more: &[&str] = &["--provider", provider];
        let world = World::new(5, upstream_and_more).await;
        for line in shared {
            assert!(keys_of(&world, 40, line).await.len() > 1, "{provider}: {line}");
        }
        for line in own {
            assert_eq!(keys_of(&world, 8, line).await, [1].into(), "{provider}: {line}");
        }
        for line in TRICKS {
            assert!(keys_of(&world, 8, line).await.iter().all(|&used| used == 1), "{provider}: {line}");
        }
    }
}
