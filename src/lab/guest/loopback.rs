//! The guest's only network: the loopback interface, brought up as `ip link set lo up` would.

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto,
    socket_with,
};

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;
/// The kernel makes it first.
const LOOPBACK_INDEX: i32 = 1;
const LENGTH: u32 = 32;

/// Brings it up.
pub(super) fn bring_up() -> io::Result<()> {
    // The routing protocol is netlink's number 0, which is what `None` stands for.
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sendto(
        &socket,
        &request(),
        SendFlags::empty(),
        &netlink::SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0; 256];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    outcome(&answer[..length])
}

/// A message header and an `ifinfomsg`, in this machine's byte order.
fn request() -> Vec<u8> {
    [
        &LENGTH.to_ne_bytes()[..],
        &RTM_NEWLINK.to_ne_bytes(),
        &(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes(),
        &1_u32.to_ne_bytes(), // sequence
        &0_u32.to_ne_bytes(), // port
        &[0; 4],              // family, padding, type
        &LOOPBACK_INDEX.to_ne_bytes(),
        &IFF_UP.to_ne_bytes(), // flags
        &IFF_UP.to_ne_bytes(), // which of them to change
    ]
    .concat()
}

fn outcome(answer: &[u8]) -> io::Result<()> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed netlink answer");
    let kind = answer
        .get(4..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_ne_bytes);
    let error = answer
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_long_as_it_says() {
        assert_eq!(request().len(), LENGTH as usize);
    }

    #[test]
    fn an_answer_is_success_an_error_or_malformed() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = vec![0; 20];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert!(outcome(&answer(NLMSG_ERROR, 0)).is_ok());
        assert_eq!(
            outcome(&answer(NLMSG_ERROR, -1))
                .unwrap_err()
                .raw_os_error(),
            Some(1)
        );
        assert!(outcome(&answer(7, 0)).is_err());
        assert!(outcome(&[]).is_err());
    }
}
