//! The operation phase of a connection: it lists, it imports, and then hands over to the data path.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tracing::{info, warn};
use usbwright_protocol::usbip::operation::{
    BUS_ID_SIZE, HEADER_SIZE, OperationError, ReplyStatus, Request, decode_bus_id, refuse,
};

use super::{Visitor, address::Connection, link, stopped};
use crate::bus::{BusId, Lease, LeaseError};

/// How long a client may take over a request, or over reading the reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that is turned away may take to send the rest of its request.
const PARTING: Duration = Duration::from_secs(1);
/// The stack of a data path's thread; the firmware runs on it.
const STACK: usize = 512 << 10;

/// Why a connection ended before its import, or its data path did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum VisitError {
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client took over {} s for a request", PATIENCE.as_secs())]
    Slow,
}

impl Visitor {
    /// Answers a connection's requests until it ends; after an import, serves the device.
    pub(super) async fn serve(
        mut self,
        mut connection: Connection,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), VisitError> {
        let mut stop = self.stop.clone();
        let lease = tokio::select! {
            lease = self.answer(&mut connection) => lease?,
            () = stopped(&mut stop) => return Ok(()),
        };
        drop(permit);
        match lease {
            Some(lease) => self.attend(connection, lease).await,
            None => Ok(()),
        }
    }

    /// Answers requests until the client leaves, or a device is imported.
    async fn answer(&self, connection: &mut Connection) -> Result<Option<Lease>, VisitError> {
        loop {
            let mut header = [0; HEADER_SIZE];
            if !read(connection, &mut header).await? {
                return Ok(None);
            }
            let request = match Request::decode(&header) {
                Ok(request) => request,
                Err(error) => {
                    turn_away(connection, &header).await;
                    return Err(error.into());
                }
            };
            match request {
                Request::List => write(connection, &self.list()).await?,
                Request::Import => {
                    let mut name = [0; BUS_ID_SIZE];
                    if !read(connection, &mut name).await? {
                        return Ok(None);
                    }
                    let (reply, lease) = self.import(&decode_bus_id(&name)?, connection.peer());
                    write(connection, &reply).await?;
                    if lease.is_some() {
                        return Ok(lease);
                    }
                }
            }
        }
    }

    /// The devices that may be imported.
    fn list(&self) -> Vec<u8> {
        let mut devices = self.bus.devices();
        devices.retain(|device| !device.in_use);
        let mut reply = Request::List.encode_reply(ReplyStatus::Ok).to_vec();
        let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        reply.extend_from_slice(&count.to_be_bytes());
        for device in &devices {
            device.description.encode_with_interfaces(&mut reply);
        }
        reply
    }

    fn import(&self, name: &str, peer: &str) -> (Vec<u8>, Option<Lease>) {
        let lease = name
            .parse()
            .map_err(|_| LeaseError::NoDevice)
            .and_then(|bus_id: BusId| self.bus.lease(&bus_id, Instant::now()));
        let status = match &lease {
            Ok(_) => ReplyStatus::Ok,
            Err(LeaseError::NoDevice) => ReplyStatus::NoDevice,
            Err(LeaseError::Busy) => ReplyStatus::Busy,
        };
        let mut reply = Request::Import.encode_reply(status).to_vec();
        match &lease {
            Ok(lease) => lease.description().encode(&mut reply),
            Err(error) => info!(%peer, busid = name, "import refused: {error}"),
        }
        (reply, lease.ok())
    }

    /// Serves the device on a thread of its own until the session ends.
    async fn attend(&mut self, connection: Connection, lease: Lease) -> Result<(), VisitError> {
        let bus_id = lease.bus_id().clone();
        let peer = connection.peer().to_owned();
        let socket = Arc::new(connection.into_socket()?);
        let (ended, mut end) = oneshot::channel();
        let limits = self.limits;
        let path = Arc::clone(&socket);
        thread::Builder::new()
            .name(format!("usbip {bus_id}"))
            .stack_size(STACK)
            .spawn(move || {
                let reason = link::serve(&path, lease, limits);
                let _ = ended.send(reason);
            })?;
        let path = Path(socket);
        info!(%peer, busid = %bus_id, "imported");
        if let Some(observer) = &self.observer {
            observer.attached(&bus_id, &peer);
        }
        let reason = tokio::select! {
            reason = &mut end => log_end(&peer, &bus_id, reason.ok()),
            () = stopped(&mut self.stop) => {
                drop(path);
                let _ = end.await;
                "the server ends".to_owned()
            }
        };
        if let Some(observer) = &self.observer {
            observer.released(&bus_id, &peer, &reason);
        }
        Ok(())
    }
}

/// The socket of a data path, whose thread sees the end of the stream when this is dropped, and gives the device back.
struct Path(Arc<OwnedFd>);

impl Drop for Path {
    fn drop(&mut self) {
        // It fails where the client has left, which ends the path as well.
        let _ = rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Both);
    }
}

/// Logs why a session has ended, and gives the reason.
fn log_end(peer: &str, bus_id: &BusId, reason: Option<link::Ended>) -> String {
    let expected = matches!(reason, Some(link::Ended::Closed | link::Ended::Unplugged));
    let reason = match reason {
        Some(reason) => reason.to_string(),
        None => "the data path panicked".to_owned(),
    };
    match expected {
        true => info!(%peer, busid = %bus_id, "released: {reason}"),
        false => warn!(%peer, busid = %bus_id, "released: {reason}"),
    }
    reason
}

/// Fills `buffer`; `false` where the client has left before its first byte.
async fn read(connection: &mut Connection, buffer: &mut [u8]) -> Result<bool, VisitError> {
    let reading = async {
        let first = connection.read(buffer).await?;
        if first > 0 {
            connection.read_exact(&mut buffer[first..]).await?;
        }
        Ok(first > 0)
    };
    timeout(PATIENCE, reading)
        .await
        .map_err(|_| VisitError::Slow)?
}

/// Answers a request that can't be understood, and takes what belongs to it, so that closing does not cut the answer off.
async fn turn_away(connection: &mut Connection, header: &[u8; HEADER_SIZE]) {
    if write(connection, &refuse(header)).await.is_ok() {
        let _ = connection.shutdown().await;
        let _ = timeout(PARTING, connection.read(&mut [0; 256])).await;
    }
}

async fn write(connection: &mut Connection, reply: &[u8]) -> Result<(), VisitError> {
    timeout(PATIENCE, connection.write_all(reply))
        .await
        .map_err(|_| VisitError::Slow)?
        .map_err(VisitError::from)
}
