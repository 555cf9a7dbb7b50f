//! What a client does besides calling tools: resources, completion, prompts, updates.

use std::sync::PoisonError;

use anyhow::{Context as _, bail, ensure};
use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, CompletionContext, ErrorData, GetPromptRequestParams,
    ReadResourceRequestParams, Reference, ServerNotification, SubscribeRequestParams,
    SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::ServiceError;
use serde_json::{Value, json};

use crate::client::{Client, Era, patient};
use crate::patience::PATIENCE;

impl Client {
    /// All resources, of all pages.
    pub async fn resources(&self) -> anyhow::Result<Vec<Value>> {
        let resources = patient(self.service.list_all_resources()).await??;
        values(resources)
    }

    /// All resource templates.
    pub async fn resource_templates(&self) -> anyhow::Result<Vec<Value>> {
        let templates = patient(self.service.list_all_resource_templates()).await??;
        values(templates)
    }

    /// Reads a resource, which is JSON, or the JSON-RPC error.
    pub async fn read(&self, uri: &str) -> anyhow::Result<Result<Value, ErrorData>> {
        let read = self
            .service
            .read_resource(ReadResourceRequestParams::new(uri));
        let read = match known(patient(read).await?)? {
            Ok(read) => serde_json::to_value(read)?,
            Err(error) => return Ok(Err(error)),
        };
        let contents = read.get("contents").and_then(Value::as_array);
        let [content] = contents.context("no contents")?.as_slice() else {
            bail!("not one content: {read}");
        };
        ensure!(
            content.get("uri") == Some(&json!(uri)),
            "another URI: {read}"
        );
        let kind = content.get("mimeType").and_then(Value::as_str);
        ensure!(kind == Some("application/json"), "not JSON: {read}");
        let text = content.get("text").and_then(Value::as_str);
        Ok(Ok(serde_json::from_str(text.context("no text")?)?))
    }

    /// The completion of an argument of `pve://…` or of the prompt of a name, while
    /// these other arguments are known.
    pub async fn complete(
        &self,
        of: &str,
        (argument, typed): (&str, &str),
        known: Value,
    ) -> anyhow::Result<Result<Value, ErrorData>> {
        let of = match of.contains("://") {
            true => Reference::for_resource(of),
            false => Reference::for_prompt(of),
        };
        let mut request = CompleteRequestParams::new(of, ArgumentInfo::new(argument, typed));
        request.context = Some(CompletionContext::with_arguments(serde_json::from_value(
            known,
        )?));
        let answer = patient(self.service.complete(request)).await?;
        Ok(match self::known(answer)? {
            Ok(answer) => Ok(serde_json::to_value(answer.completion)?),
            Err(error) => Err(error),
        })
    }

    /// All prompts.
    pub async fn prompts(&self) -> anyhow::Result<Vec<Value>> {
        values(patient(self.service.list_all_prompts()).await??)
    }

    /// The text of a prompt with these arguments.
    pub async fn prompt(
        &self,
        name: &str,
        arguments: Value,
    ) -> anyhow::Result<Result<String, ErrorData>> {
        let mut request = GetPromptRequestParams::new(name);
        request.arguments = arguments.as_object().cloned();
        let prompt = match self::known(patient(self.service.get_prompt(request)).await?)? {
            Ok(prompt) => serde_json::to_value(prompt)?,
            Err(error) => return Ok(Err(error)),
        };
        let text = prompt.pointer("/messages/0/content/text");
        let text = text.and_then(Value::as_str).context("no text")?;
        Ok(Ok(text.to_owned()))
    }

    /// Watches a resource, and the list of resources, in the way of the client's era.
    pub async fn watch(&self, uri: &str) -> anyhow::Result<()> {
        if self.era == Era::Legacy {
            #[expect(deprecated, reason = "as clients of the older era do")]
            let subscribe = self.service.subscribe(SubscribeRequestParams::new(uri));
            return Ok(patient(subscribe).await??);
        }
        let filter = SubscriptionFilter::builder()
            .resource_subscription(uri)
            .resources_list_changed()
            .build();
        let mut subscription = patient(self.service.listen(filter)).await??;
        let accepted = subscription.acknowledged();
        ensure!(
            accepted.resources_list_changed == Some(true),
            "{accepted:?}"
        );
        let uris = accepted.resource_subscriptions.clone().unwrap_or_default();
        ensure!(uris == [uri], "{uris:?}");
        let handler = self.service.service().clone();
        tokio::spawn(async move {
            while let Ok(Some(notification)) = subscription.next().await {
                match notification {
                    ServerNotification::ResourceUpdatedNotification(update) => {
                        handler.note(update.params.uri);
                    }
                    ServerNotification::ResourceListChangedNotification(_) => {
                        handler.note("list".to_owned());
                    }
                    _ => {}
                }
            }
        });
        Ok(())
    }

    /// Which of these resources the server lets a client of the newer era watch, from now
    /// on.
    pub async fn accepted(&self, uris: &[String]) -> anyhow::Result<Vec<String>> {
        let filter = SubscriptionFilter::builder().resource_subscriptions(uris.iter().cloned());
        let mut subscription = patient(self.service.listen(filter.build())).await??;
        let accepted = subscription.acknowledged().resource_subscriptions.clone();
        tokio::spawn(async move { while let Ok(Some(_)) = subscription.next().await {} });
        Ok(accepted.unwrap_or_default())
    }

    /// Ends that, for a client of the older era.
    pub async fn unwatch(&self, uri: &str) -> anyhow::Result<()> {
        #[expect(deprecated, reason = "as clients of the older era do")]
        let unsubscribe = self.service.unsubscribe(UnsubscribeRequestParams::new(uri));
        Ok(patient(unsubscribe).await??)
    }

    /// What has changed so far: the URIs of watched resources, or `list`.
    pub fn updates(&self) -> Vec<String> {
        let updates = self.service.service().updates.lock();
        updates.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the client has heard of a change of this.
    pub async fn hears_of(&self, what: &str) -> anyhow::Result<()> {
        let wait = async {
            while !self.updates().iter().any(|update| update == what) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, wait).await;
        heard.with_context(|| format!("no update of {what}: {:?}", self.updates()))
    }
}

fn values<T: serde::Serialize>(all: Vec<T>) -> anyhow::Result<Vec<Value>> {
    let all = all.iter().map(serde_json::to_value);
    Ok(all.collect::<Result<_, _>>()?)
}

/// A JSON-RPC error as a value; any other failure fails the test.
fn known<T>(answer: Result<T, ServiceError>) -> anyhow::Result<Result<T, ErrorData>> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(ServiceError::McpError(error)) => Ok(Err(error)),
        Err(other) => Err(other.into()),
    }
}
