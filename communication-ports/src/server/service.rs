//! What a connection's thread does: it greets the client, and calls the driver back.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_host_stack::status::NtStatus;

use super::{
    Callbacks, Connection,
    core::{Request, ServerCore},
    port::{Applicant, Port, refuse},
};
use crate::{
    Ended, LONGEST_CONTEXT,
    link::{Link, thread_waker},
    socket::{Delivery, Received, Socket},
    wire::{PACKET_SIZE, Packet, Payload, ToClient, ToServer, VERSION},
};

/// How long a client may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// Serves a client until its connection has ended.
pub(super) fn serve<C: Callbacks>(port: &Arc<Port>, callbacks: &C, applicant: Applicant) {
    let Applicant {
        number,
        socket,
        peer,
    } = applicant;
    let context = match greet(&socket) {
        Ok(context) => context,
        Err(status) => return refuse(&socket, status),
    };
    // A reply that is too long comes with one byte more than there is room for.
    let limit = port.longest() + 1;
    let clock = port.filter.clock.clone();
    let link = Link::new(ServerCore::new(), Arc::clone(&socket), limit, clock);
    if !port.filter.linked(number, &link) {
        return refuse(&socket, NtStatus::FLT_DELETING_OBJECT);
    }
    let _place = match port.place(&link) {
        Ok(place) => place,
        Err(status) => return refuse(&socket, status),
    };
    if link.watch_by(&port.filter.watcher).is_err() {
        return refuse(&socket, NtStatus::INSUFFICIENT_RESOURCES);
    }
    let connection = Connection::new(Arc::clone(&link), Arc::new(peer), port.longest());
    let session = match contained(|| callbacks.connect(&connection, &context)) {
        Ok(session) => session,
        Err(status) => {
            refuse(&socket, status);
            return link.end(Ended::Closed);
        }
    };
    welcome(port, &link, &socket);
    drop(socket);
    converse(callbacks, &link, session);
}

/// Hears the client's first packet: the context, or why it is refused.
fn greet(socket: &Socket) -> Result<Bytes, NtStatus> {
    let until = Instant::now() + GREETING;
    let mut buffer = vec![0; PACKET_SIZE];
    let packet: Packet = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.wait(Some(left)).is_err() {
            return Err(NtStatus::IO_TIMEOUT);
        }
        match socket.receive(&mut buffer, LONGEST_CONTEXT, false) {
            Ok(Received::Packet(packet)) => break packet,
            Ok(Received::Nothing) => {}
            Ok(Received::Violation(violation)) => {
                tracing::warn!(%violation, "a client of a port begins with what is no greeting");
                return Err(NtStatus::INVALID_PARAMETER);
            }
            Ok(Received::End) | Err(_) => return Err(NtStatus::PORT_DISCONNECTED),
        }
    };
    match ToServer::try_from(packet) {
        Ok(ToServer::Hello {
            version: VERSION,
            context,
        }) => context.read().map_err(|_| NtStatus::INSUFFICIENT_RESOURCES),
        Ok(ToServer::Hello { .. }) => Err(NtStatus::NOT_SUPPORTED),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

/// Tells the client that it is connected. Whether it is still there, others find out.
fn welcome(port: &Port, link: &Arc<Link<ServerCore>>, socket: &Socket) {
    let longest = u32::try_from(port.longest()).unwrap_or(u32::MAX);
    let welcome = ToClient::Welcome {
        version: VERSION,
        longest,
    };
    if let Ok(Delivery::Full | Delivery::Later) = socket.send(&Packet::from(welcome)) {
        link.end(Ended::Socket(io::ErrorKind::OutOfMemory));
    }
}

/// Calls the driver back for each message, until the connection has ended.
fn converse<C: Callbacks>(callbacks: &C, link: &Arc<Link<ServerCore>>, session: C::Session) {
    let mut session = session;
    let waker = thread_waker();
    loop {
        let request = link.with(|state| state.core.request(&waker));
        match request {
            Ok(Some(request)) => {
                let operation = request.operation;
                let (status, data) = answer(callbacks, &mut session, request);
                link.with(|state| state.core.answer(operation, status, data));
            }
            Ok(None) => thread::park(),
            Err(_) => break,
        }
    }
    let why = link.ended().unwrap_or(Ended::Closed);
    if why != Ended::Closed {
        let _ = contained(|| {
            callbacks.disconnect(session, &why);
            Ok(())
        });
    }
}

/// What the message callback says.
fn answer<C: Callbacks>(
    callbacks: &C,
    session: &mut C::Session,
    request: Request,
) -> (NtStatus, Payload) {
    let room = request.capacity as usize;
    let said = match request.data.read() {
        Ok(message) => contained(|| callbacks.message(session, &message, room)),
        Err(_) => Err(NtStatus::INSUFFICIENT_RESOURCES),
    };
    let (status, data) = match said {
        Ok(data) if data.len() <= room => (NtStatus::SUCCESS, data),
        Ok(data) => (NtStatus::BUFFER_OVERFLOW, data.slice(..room)),
        Err(status) => (status, Bytes::new()),
    };
    match Payload::new(data) {
        Ok(data) => (status, data),
        Err(_) => (NtStatus::INSUFFICIENT_RESOURCES, Payload::EMPTY),
    }
}

/// Calls the driver; a panic stays here.
fn contained<R>(callback: impl FnOnce() -> Result<R, NtStatus>) -> Result<R, NtStatus> {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or_else(|_| {
        tracing::error!("a driver's callback for a port panics");
        Err(NtStatus::DRIVER_INTERNAL_ERROR)
    })
}
