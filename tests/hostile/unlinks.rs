//! Unlinks before, during and after their transfers, over a socket.

use usbwright::emulator::server::Limits;

use crate::support::{
    client::{Client, PATIENCE},
    devices::gadget_zero,
    server::{Place, Served},
    urb::Urb,
    vhci::{Answer, TAKEN_BACK},
};

fn served() -> Served {
    Served::new(Place::Unix, vec![gadget_zero()], Limits::default())
}

/// A client whose device is a loopback: reads wait.
fn looped(served: &Served) -> Client {
    let mut client = Client::attach(&served.address, "1-1", PATIENCE);
    client.set_configuration(2);
    client
}

#[test]
fn a_waiting_transfer_is_taken_back() {
    let served = served();
    let mut client = looped(&served);
    let read = client.submit(&Urb::read(1, 512));
    client.is_quiet();
    let unlink = client.unlink(read);
    assert_eq!(client.unlinked(unlink), TAKEN_BACK);
    let again = client.unlink(read);
    assert_eq!(client.unlinked(again), 0);
    // Nothing was lost on the way: the next read gets what is written.
    client.transfer(&Urb::write(1, b"data"));
    assert_eq!(client.transfer(&Urb::read(1, 512)).data, b"data");
}

#[test]
fn an_unlink_that_overtakes_its_submit_is_answered_once() {
    let served = served();
    let mut client = looped(&served);
    for in_one_write in [true, false] {
        let (write, submit) = client.prepare(&Urb::write(1, &[9; 600]));
        let (number, unlink) = client.prepare_unlink(write);
        if in_one_write {
            client.send(&[unlink, submit].concat());
        } else {
            client.send(&unlink);
            client.is_quiet();
            client.send(&submit);
        }
        assert_eq!(client.unlinked(number), TAKEN_BACK);
    }
    // Neither write has run: there is nothing to read.
    let read = client.submit(&Urb::read(1, 512));
    client.is_quiet();
    let unlink = client.unlink(read);
    assert_eq!(client.unlinked(unlink), TAKEN_BACK);
}

#[test]
fn an_unlink_of_a_transfer_that_has_ended_comes_after_its_end() {
    let served = served();
    let mut client = looped(&served);
    let (write, submit) = client.prepare(&Urb::write(1, b"x"));
    let (number, unlink) = client.prepare_unlink(write);
    client.send(&[submit, unlink].concat());
    assert_eq!(client.end_of(write).status, 0);
    assert_eq!(client.unlinked(number), 0);
}

#[test]
fn unlinks_of_numbers_that_never_were_are_answered() {
    let served = served();
    let mut client = looped(&served);
    client.count_from(1000);
    client.is_quiet();
    // One that is past is answered at once; one that may yet come, when it does not.
    let past = client.unlink(3);
    assert_eq!(client.unlinked(past), 0);
    let future = client.unlink(5_000_000);
    assert_eq!(client.unlinked(future), 0);
    client.is_quiet();
}

#[test]
fn numbers_wrap_without_harm() {
    let served = served();
    let mut client = looped(&served);
    client.count_from(0x7fff_ffff);
    client.is_quiet();
    client.count_from(u32::MAX - 6);
    client.is_quiet();
    for _ in 0..10 {
        let (read, submit) = client.prepare(&Urb::read(1, 512));
        let (number, unlink) = client.prepare_unlink(read);
        client.send(&[unlink, submit].concat());
        assert_eq!(client.unlinked(number), TAKEN_BACK);
        let read = client.submit(&Urb::read(1, 512));
        let number = client.unlink(read);
        assert_eq!(client.unlinked(number), TAKEN_BACK);
    }
    client.is_quiet();
}

#[test]
fn a_number_that_is_under_way_ends_the_connection() {
    let served = served();
    let mut client = looped(&served);
    let urb = Urb::read(1, 512);
    client.send(&urb.bytes(77));
    client.send_in_vain(&urb.bytes(77));
    client.wait_for_close();
    // One that has ended may be used again.
    let mut client = looped(&served);
    for _ in 0..2 {
        client.count_from(500);
        assert_eq!(client.transfer(&Urb::write(1, b"x")).status, 0);
    }
}

#[test]
fn races_of_transfers_and_unlinks_leave_nothing_unanswered() {
    let served = served();
    let mut client = looped(&served);
    // Reads, writes that feed some of them, and unlinks of all of them, in pieces that cut messages in two.
    for round in 0..40usize {
        let mut bytes = Vec::new();
        for i in 0..30 {
            let urb = match (round + i) % 3 {
                0 => Urb::write(1, &vec![5; 100 * i]),
                _ => Urb::read(1, 4096),
            };
            let (target, submit) = client.prepare(&urb);
            let (_, unlink) = client.prepare_unlink(target);
            let parts = match (round * 7 + i) % 4 {
                0 => [unlink, submit],
                _ => [submit, unlink],
            };
            bytes.extend(parts.concat());
        }
        for piece in bytes.chunks(100 + 37 * round) {
            client.send(piece);
        }
        while !client.vhci.outstanding().is_empty() || client.vhci.unlinks() > 0 {
            client.answer();
        }
        client.is_quiet();
    }
}

#[test]
fn what_had_moved_before_an_unlink_reaches_the_client() {
    let served = served();
    let mut client = looped(&served);
    client.transfer(&Urb::write(1, &[3; 1024]));
    // Two full packets do not end a read of more.
    let read = client.submit(&Urb::read(1, 4096));
    let number = client.unlink(read);
    let Answer::Ended(ended) = client.answer() else {
        panic!("what had moved is lost");
    };
    assert_eq!((ended.sequence, ended.data), (read, vec![3; 1024]));
    assert_eq!(client.unlinked(number), 0);
}
