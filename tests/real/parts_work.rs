//! Each part of the rig does what the stories rely on.

use anyhow::{Context, Result};
use lettre::message::header::ContentType;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::Value;

use crate::parts::alertmanager::Alertmanager;
use crate::parts::gauge::Gauge;
use crate::parts::postgres::Postgres;
use crate::parts::prometheus::Prometheus;
use crate::parts::recorder::Recorder;
use crate::parts::smtp::Smtp;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

type Mailer = AsyncSmtpTransport<Tokio1Executor>;

const RULE: &str = r#"
groups:
  - name: story
    rules:
      - alert: DatabaseConnectionFailure
        expr: pg_up == 0
        labels: { severity: critical }
        annotations: { summary: "{{ $labels.service }} cannot reach its database" }
"#;

#[tokio::test]
async fn postgres_answers_a_query() -> Result<()> {
    if !real("postgres_answers_a_query") {
        return Ok(());
    }
    let postgres = Postgres::start().await?;
    let mut session = postgres.connect("admin").await?;
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut session).await?;
    assert_eq!(one, 1);
    Ok(())
}

#[tokio::test]
async fn a_mail_is_received() -> Result<()> {
    if !real("a_mail_is_received") {
        return Ok(());
    }
    let smtp = Smtp::start().await?;
    assert!(smtp.mails()?.is_empty());
    Mailer::builder_dangerous("127.0.0.1").port(smtp.port).build().send(mail()?).await?;
    assert!(smtp.mails()?.concat().contains("Subject: P1 orders"), "{:?}", smtp.mails()?);
    Ok(())
}

#[tokio::test]
async fn a_mail_is_received_over_starttls_only() -> Result<()> {
    if !real("a_mail_is_received_over_starttls_only") {
        return Ok(());
    }
    let smtp = Smtp::start_tls().await?;
    let plain = Mailer::builder_dangerous("127.0.0.1").port(smtp.port).build();
    assert!(plain.send(mail()?).await.is_err(), "a mail without TLS must be refused");

    let root = Certificate::from_pem(&std::fs::read(smtp.certificate())?)?;
    let tls = TlsParameters::builder("localhost".into()).add_root_certificate(root).build()?;
    let secure = Mailer::builder_dangerous("localhost").port(smtp.port).tls(Tls::Required(tls)).build();
    secure.send(mail()?).await?;
    assert_eq!(smtp.mails()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_rule_fires_and_resolves_at_the_webhook() -> Result<()> {
    if !real("a_rule_fires_and_resolves_at_the_webhook") {
        return Ok(());
    }
    let (gauge, recorder) = (Gauge::start().await?, Recorder::start().await?);
    gauge.set("pg_up{service=\"orders\"}", 0.0);
    let alertmanager = Alertmanager::start(&format!("http://{}/", recorder.address)).await?;
    let prometheus = Prometheus::start(gauge.address, &[alertmanager.address], RULE).await?;

    let body = wait_until("the webhook", seconds(20), async || Ok(body_with_status(&recorder, "firing"))).await?;
    assert_eq!(body["version"], "4");
    assert_eq!(body["alerts"][0]["labels"]["service"], "orders");
    assert_eq!(prometheus.query("pg_up").await?.len(), 1);

    gauge.set("pg_up{service=\"orders\"}", 1.0);
    wait_until("the resolve", seconds(20), async || Ok(body_with_status(&recorder, "resolved"))).await?;
    Ok(())
}

fn body_with_status(recorder: &Recorder, status: &str) -> Option<Value> {
    recorder.bodies().into_iter().find(|body| body["status"] == status)
}

fn mail() -> Result<Message> {
    Message::builder()
        .from("Reynard <alerts@example.com>".parse().context("from")?)
        .to("Ana <ana@example.com>".parse().context("to")?)
        .subject("P1 orders")
        .header(ContentType::TEXT_PLAIN)
        .body("orders cannot reach its database\n".to_owned())
        .context("a mail")
}
