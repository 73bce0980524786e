//! Every channel of the settings, ready to send. The list to extend when there is a new kind; knows none of their insides.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::channel::email::Email;
use crate::channel::http;
use crate::channel::slack::Slack;
use crate::channel::webhook::Webhook;
use crate::domain::settings::{Channel, ChannelKind};
use crate::engine::ports::Sender;

/// A channel that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: {reason}")]
pub struct ChannelError {
    pub channel: String,
    pub reason: String,
}

/// A sender for each channel. A TLS provider must be installed, and a runtime be running, by then.
pub fn senders(channels: &BTreeMap<String, Channel>) -> Result<BTreeMap<String, Arc<dyn Sender>>, ChannelError> {
    let client = http::client();
    let build = |(name, channel): (&String, &Channel)| {
        let fault = |reason| ChannelError { channel: name.clone(), reason };
        let sender: Arc<dyn Sender> = match &channel.kind {
            ChannelKind::Email(settings) => Arc::new(Email::new(settings).map_err(fault)?),
            ChannelKind::Slack { url } => Arc::new(Slack::new(client.clone(), url.clone())),
            ChannelKind::Webhook { url, headers } => Arc::new(Webhook::new(client.clone(), url.clone(), headers).map_err(fault)?),
        };
        Ok((name.clone(), sender))
    };
    channels.iter().map(build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::settings::EmailSettings;

    #[tokio::test]
    async fn each_channel_has_its_sender_or_the_faulty_one_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = || Secret::new("http://127.0.0.1:9/");
        let channel = |name: &str, kind| (name.to_owned(), Channel { name: name.to_owned(), kind });
        let mail =
            |smtp: &str| ChannelKind::Email(EmailSettings { smtp: Secret::new(smtp), from: "a@example.com".to_owned(), to: Vec::new() });
        let mut channels = BTreeMap::from([
            channel("chat", ChannelKind::Slack { url: url() }),
            channel("hook", ChannelKind::Webhook { url: url(), headers: BTreeMap::new() }),
            channel("mail", mail("smtp://localhost")),
        ]);
        assert_eq!(senders(&channels).unwrap().keys().collect::<Vec<_>>(), ["chat", "hook", "mail"]);
        channels.extend([channel("mail", mail("localhost"))]);
        assert_eq!(senders(&channels).err().unwrap().channel, "mail");
    }
}
