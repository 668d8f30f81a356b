//! What is asked of the system for a stream socket.

use std::os::fd::AsFd;

use rustix::net::sockopt;

/// Bytes that a UNIX socket is asked to hold: a large transfer fits at once.
const UNIX_BUFFER: usize = 1 << 20;

/// Asks for a larger buffer, for a socket that stays on this machine; a system that grants less is slower and no worse.
pub fn widen<S: AsFd>(socket: &S) {
    // Who may administer the network may go over the system's limit.
    if sockopt::set_socket_send_buffer_size_force(socket, UNIX_BUFFER).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, UNIX_BUFFER);
    }
}
