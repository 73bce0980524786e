//! A way to PostgreSQL that can lose a commit: before it arrives, or the answer to one that was made; or freeze before it.
//! Speaks no SQL.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lose {
    TheCommit,
    ItsAnswer,
    /// Both sides stay connected and hear nothing more.
    Everything,
}

#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    next: Arc<Mutex<Option<Lose>>>,
}

impl Proxy {
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let proxy = Self { port, next: Arc::default() };
        let ours = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(ours.clone().pass(client, server));
            }
        });
        proxy
    }

    /// What becomes of the next commit.
    pub fn loses(&self, what: Lose) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub fn has_lost(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    async fn pass(self, mut client: TcpStream, server: u16) -> std::io::Result<()> {
        let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let part = &asked[..read?];
                    let commit = part.windows(7).any(|words| words == b"COMMIT\0");
                    let lose = commit.then(|| self.next.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten();
                    if part.is_empty() || lose == Some(Lose::TheCommit) {
                        return Ok(());
                    }
                    if lose == Some(Lose::Everything) {
                        std::future::pending::<()>().await;
                    }
                    server.write_all(part).await?;
                    if lose == Some(Lose::ItsAnswer) {
                        let _swallowed = server.read(&mut answered).await?;
                        return Ok(());
                    }
                }
                read = server.read(&mut answered) => match read? {
                    0 => return Ok(()),
                    length => client.write_all(&answered[..length]).await?,
                },
            }
        }
    }
}
