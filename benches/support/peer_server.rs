//! Serves the peer's device until it is ended, so that clients of any kind can be pointed at it.

mod peer;

use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;

/// The server that usbwright is compared with: the crate `usbip`, with a device like Gadget Zero.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind(Arguments::parse().listen).await?;
    println!("{}: 0525:a4a0, high speed", peer::BUS_ID);
    println!("listening at {}", listener.local_addr()?);
    println!("ready");
    Ok(peer::serve(listener).await?)
}
