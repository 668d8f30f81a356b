//! Ends without sockets.
