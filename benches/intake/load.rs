//! Alertmanager's side: bodies, and clients that post them over connections of their own. Knows nothing of who answers.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 64;

/// What is posted: bodies of so many alerts, about so many groups in turn or, without a number, each about a group of its own.
#[derive(Clone, Copy)]
pub struct Load {
    pub alerts: usize,
    pub groups: Option<u64>,
}

impl Load {
    /// Requests answered 200 a second over all connections. Groups that are to be known have been posted once before.
    pub async fn run(self, address: SocketAddr, span: Duration) -> f64 {
        self.introduce(address).await;
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let client = || {
            let next = next.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                let mut answered = 0u64;
                while began.elapsed() < span {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let group = self.groups.map_or(n, |groups| n % groups);
                    post(&mut stream, &body(group, self.alerts)).await;
                    answered += 1;
                }
                answered
            })
        };
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| client()).collect();
        let mut answered = 0;
        for client in clients {
            answered += client.await.expect("a client that ends");
        }
        answered as f64 / began.elapsed().as_secs_f64()
    }

    async fn introduce(self, address: SocketAddr) {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        for group in 0..self.groups.unwrap_or(0) {
            post(&mut stream, &body(group, self.alerts)).await;
        }
    }
}

/// Posts one body and demands a 200.
pub async fn post(stream: &mut TcpStream, body: &str) {
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 4_096];
    let mut seen = 0;
    loop {
        let n = stream.read(&mut answer[seen..]).await.expect("answered");
        assert!(n > 0, "the server hung up");
        seen += n;
        let text = std::str::from_utf8(&answer[..seen]).expect("text");
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse::<usize>().ok());
            if rest.len() >= length.expect("a length") {
                return;
            }
        }
    }
}

/// A free port, listened on.
pub fn socket() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A body as Alertmanager sends it.
pub fn body(group: u64, alerts: usize) -> String {
    let alerts: Vec<String> = (0..alerts)
        .map(|instance| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"ServiceDown","service":"s{group}","severity":"critical","instance":"i{instance}","job":"orders","namespace":"shop","cluster":"prod-eu-1","team":"payments"}},"annotations":{{"summary":"service s{group} is down","description":"The probe of s{group} has failed for five minutes in a row from every region we look from.","runbook_url":"https://runbooks.example.com/ServiceDown"}},"startsAt":"2026-11-23T22:51:09.497Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example.com:9090/graph","fingerprint":"{:016x}"}}"#,
                group * 1_000 + instance as u64
            )
        })
        .collect();
    format!(
        r#"{{"receiver":"reynard","status":"firing","alerts":[{}],"groupLabels":{{"service":"s{group}"}},"commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://am","version":"4","groupKey":"{{}}:{{service=\"s{group}\"}}","truncatedAlerts":0}}"#,
        alerts.join(",")
    )
}
