//! Serves a router on a socket, patient with nobody: slow headers are cut off, and a shutdown waits no longer than it must.
//! Knows no routes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;

/// How long a client may take over a request's headers.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Answers until `closing`; requests under way then have `grace` to end.
pub async fn serve(listener: TcpListener, router: Router, closing: CancellationToken, grace: Duration) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?.handle(handle.clone()).http1_only();
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    let closer = tokio::spawn(async move {
        closing.cancelled().await;
        handle.graceful_shutdown(Some(grace));
    });
    let served = server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await;
    closer.abort();
    served
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::stream;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shutdown_does_not_wait_for_open_streams() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"tick")))) };
        let closing = CancellationToken::new();
        let router = Router::new().route("/", get(endless));
        let server = tokio::spawn(serve(listener, router, closing.clone(), Duration::from_millis(100)));
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("it reads");
        let mut first = [0; 12];
        client.read_exact(&mut first).expect("it answers");
        assert_eq!(&first, b"HTTP/1.1 200");
        let began = Instant::now();
        closing.cancel();
        server.await.expect("it does not panic").expect("it ends well");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
