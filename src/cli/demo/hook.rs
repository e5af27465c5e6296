//! A webhook receiver on loopback for the demo: takes a body, answers 204, hands the body over.
//!
//! Neighbours: the demo alone. A part of its own for the same reason as the mailbox: it is the other side.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::mpsc::UnboundedSender;

/// Listens on a free port and sends each body to `bodies`.
pub(super) async fn open(bodies: UnboundedSender<String>) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let take = async |State(bodies): State<UnboundedSender<String>>, body: Bytes| {
        let _ = bodies.send(String::from_utf8_lossy(&body).into_owned());
        StatusCode::NO_CONTENT
    };
    let app = Router::new().route("/", post(take)).with_state(bodies);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
