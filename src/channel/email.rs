//! E-mail over SMTP: plain text and HTML in one message, the same Message-ID over all attempts. Knows no mailbox.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};
use reqwest::Url;

use crate::domain::settings::EmailSettings;
use crate::engine::ports::{Delivered, Message, Sender};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole conversation, however slowly each answer comes.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The channel.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    /// The fault in words when an address cannot be read.
    pub fn new(settings: &EmailSettings) -> Result<Self, String> {
        Ok(Self {
            transport: transport(settings.smtp.expose())?,
            from: mailbox(&settings.from)?,
            to: settings.to.iter().map(|address| mailbox(address)).collect::<Result<_, _>>()?,
        })
    }

    fn mail(&self, message: &Message) -> Result<Mail, String> {
        let mut mail = Mail::builder()
            .from(self.from.clone())
            .subject(one_line(&message.subject))
            .message_id(Some(message_id(&message.key, self.from.email.domain())));
        for recipient in self.recipients(message)? {
            mail = mail.to(recipient);
        }
        // Out-of-office replies to a page help nobody.
        mail = mail.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        let built = if message.html.is_empty() {
            mail.body(message.text.clone())
        } else {
            mail.multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))
        };
        built.map_err(|error| error.to_string())
    }

    /// The person's address; the channel's own list when nobody in person is told.
    fn recipients(&self, message: &Message) -> Result<Vec<Mailbox>, String> {
        match (&message.email, &message.person) {
            (Some(address), _) => Ok(vec![mailbox(address)?]),
            (None, Some(person)) => Err(format!("{person} has no e-mail address")),
            (None, None) if self.to.is_empty() => Err("the channel has no `to:` address".to_owned()),
            (None, None) => Ok(self.to.clone()),
        }
    }
}

#[async_trait]
impl Sender for Email {
    async fn send(&self, message: &Message) -> Delivered {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(reason) => return Delivered::Never(reason),
        };
        match tokio::time::timeout(SEND_TIMEOUT, self.transport.send(mail)).await {
            Ok(Ok(response)) => {
                Delivered::Sent(one_line(&format!("{}: {}", response.code(), response.message().collect::<Vec<_>>().join(" "))))
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => again(format!("the mail server took longer than {} s", SEND_TIMEOUT.as_secs())),
        }
    }
}

/// 5xx stays; everything else may pass, a certificate that is mended too.
fn failed(error: &SmtpError) -> Delivered {
    let reason = one_line(&error.to_string());
    if error.is_permanent() { Delivered::Never(reason) } else { again(reason) }
}

fn again(reason: String) -> Delivered {
    Delivered::Again { reason, after: None }
}

/// Our forms of the address in the transport's own: `smtp://` encrypts when the server offers it.
fn transport(address: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let fault = || "smtp: is not of the form smtp://[user:password@]host[:port], smtps://… or with ?tls=required or ?tls=none".to_owned();
    let mut url = Url::parse(address).map_err(|_| fault())?;
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    let query = match (url.scheme(), tls.as_deref()) {
        ("smtps", None) | ("smtp", Some("none")) => None,
        ("smtp", None | Some("opportunistic")) => Some("tls=opportunistic"),
        ("smtp", Some("required")) => Some("tls=required"),
        _ => return Err(fault()),
    };
    url.set_query(query);
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| fault())?;
    Ok(builder.timeout(Some(COMMAND_TIMEOUT)).build())
}

fn mailbox(address: &str) -> Result<Mailbox, String> {
    address.parse().map_err(|error| format!("\"{address}\" is not an e-mail address: {error}"))
}

/// Only what an identifier may be made of; the key's colons are not.
fn message_id(key: &str, host: &str) -> String {
    let id: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '.' }).collect();
    format!("<{}@{host}>", id.trim_matches('.'))
}

/// A line break in a subject would begin another header.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::webhook::tests::message;
    use crate::domain::secret::Secret;

    fn email(to: &[&str]) -> Email {
        let to = to.iter().map(ToString::to_string).collect();
        Email::new(&EmailSettings { smtp: Secret::new("smtp://localhost:2525"), from: "Reynard <alerts@example.com>".to_owned(), to })
            .unwrap()
    }

    #[tokio::test]
    async fn one_mail_carries_text_and_html_and_the_same_identity_each_time() {
        let email = email(&[]);
        let first = String::from_utf8(email.mail(&message()).unwrap().formatted()).unwrap();
        let second = String::from_utf8(email.mail(&Message { subject: "later".to_owned(), ..message() }).unwrap().formatted()).unwrap();
        for mail in [&first, &second] {
            assert!(mail.contains("Message-ID: <run.tell.1@example.com>\r\n"), "{mail}");
        }
        for part in [
            "To: ana@example.com\r\n",
            "Subject: P1 orders\r\n",
            "Auto-Submitted: auto-generated",
            "text/plain",
            "text/html",
            "<p>Orders are down</p>",
        ] {
            assert!(first.contains(part), "{part} in {first}");
        }
    }

    #[tokio::test]
    async fn an_alert_cannot_add_headers() {
        let message = Message { subject: "x\r\nBcc: eve@example.com".to_owned(), ..message() };
        let mail = email(&[]).mail(&message).unwrap();
        assert!(!String::from_utf8(mail.formatted()).unwrap().contains("\r\nBcc:"));
        assert_eq!(mail.envelope().to().len(), 1);
    }

    #[tokio::test]
    async fn recipients_are_the_person_or_the_channels_own() {
        let team = Message { email: None, person: None, ..message() };
        assert_eq!(email(&["ops@example.com", "b@example.com"]).mail(&team).unwrap().envelope().to().len(), 2);
        assert_eq!(email(&[]).send(&team).await, Delivered::Never("the channel has no `to:` address".to_owned()));
        let nowhere = Message { email: None, ..message() };
        assert_eq!(email(&["ops@example.com"]).send(&nowhere).await, Delivered::Never("ana has no e-mail address".to_owned()));
    }

    #[tokio::test]
    async fn addresses_of_servers_are_read_and_never_repeated() {
        for good in ["smtp://localhost", "smtp://u:p%40@mail:25?tls=required", "smtp://mail?tls=none", "smtps://u:p@mail"] {
            assert!(transport(good).is_ok(), "{good}");
        }
        for bad in ["localhost:25", "http://mail", "smtp://mail?tls=maybe", "smtps://mail?tls=none", "smtp://u:s3cret@"] {
            let error = transport(bad).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(!error.contains("s3cret"));
        }
    }
}
