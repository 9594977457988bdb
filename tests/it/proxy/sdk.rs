//! A client that nobody here wrote, against the demo.

use std::future::poll_fn;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};

use super::program::{Proxy, command};

async fn demo() -> (Proxy, Client<OpenAIConfig>) {
    let proxy = Proxy::start(command(&["demo", "--listen", "127.0.0.1:0"])).await;
    let config = OpenAIConfig::new().with_api_base(format!("http://{}/v1", proxy.address)).with_api_key("unused");
    (proxy, Client::with_config(config))
}

fn question(model: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessage::from("Hello?");
    CreateChatCompletionRequestArgs::default().model(model).messages([message.into()]).build().unwrap()
}

#[tokio::test]
async fn a_common_client_sees_a_provider_without_refusals() {
    let (_proxy, client) = demo().await;
    for _ in 0..5 {
        let models = client.models().list().await.unwrap();
        assert_eq!(models.data[0].id, "demo-1");
        let answer = client.chat().create(question("demo-1")).await.unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("Hello, this is a fake provider."));
    }
}

#[tokio::test]
async fn a_common_client_reads_a_stream() {
    let (_proxy, client) = demo().await;
    let mut events = client.chat().create_stream(question("demo-1")).await.unwrap();
    let mut text = String::new();
    while let Some(event) = poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        text += event.unwrap().choices[0].delta.content.as_deref().unwrap_or_default();
    }
    assert_eq!(text, "Hello, this is a fake provider.");
}

#[tokio::test]
async fn a_common_client_reads_the_providers_own_error() {
    let (_proxy, client) = demo().await;
    let error = client.chat().create(question("gpt-0")).await.unwrap_err();
    let OpenAIError::ApiError(error) = error else { panic!("{error:?}") };
    assert!(format!("{error:?}").contains("model_not_found"), "{error:?}");
}
