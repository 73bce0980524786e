//! The wire between a node and its database, which can be cut: both sides stay connected and hear nothing more, as behind a switch
//! that failed. Speaks no protocol.

use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Wire {
    pub port: u16,
    cut: Arc<watch::Sender<bool>>,
    passing: JoinHandle<()>,
}

impl Wire {
    pub async fn to(server: u16) -> Result<Wire> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let cut = Arc::new(watch::channel(false).0);
        let seen = cut.clone();
        let passing = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let seen = seen.subscribe();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                    let ((from, to), (back, answer)) = (client.into_split(), server.into_split());
                    tokio::join!(pass(from, answer, seen.clone()), pass(back, to, seen));
                });
            }
        });
        Ok(Wire { port, cut, passing })
    }

    pub fn cuts(&self) {
        self.cut.send_replace(true);
    }

    pub fn mends(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

/// What was on its way when the wire was cut arrives once it is mended, as it would.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut part = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut part).await {
        if cut.wait_for(|cut| !cut).await.is_err() || to.write_all(&part[..length]).await.is_err() {
            return;
        }
    }
}
