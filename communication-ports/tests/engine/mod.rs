//! Both ends of a connection, each against a peer made of a script's bytes, and against each other.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use usbwright_ports::{
    Sent,
    exchange::{ClientExchange, ServerExchange},
    wire::{HEADER_SIZE, MAGIC},
};

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> Bytes {
        let count = usize::from(self.byte() % 16);
        (0..count).map(|_| self.byte()).collect()
    }

    fn room(&mut self) -> Option<u32> {
        let room = u32::from(self.byte() % 16);
        room.checked_sub(1)
    }

    /// A packet that may make sense, of those that begin with this kind.
    fn packet(&mut self, kinds: u8) -> Vec<u8> {
        if self.byte().is_multiple_of(32) {
            return self.bytes().to_vec();
        }
        let mut packet = vec![0; HEADER_SIZE];
        packet[0] = kinds | (self.byte() % 8);
        packet[2] = [0, 0, 2, 4, 1, 8][usize::from(self.byte() % 6)];
        packet[4] = self.byte() % 2;
        for field in [8, 16, 24, 36] {
            // Fields that are not in use are zero, mostly.
            packet[field] = self.byte() % 16;
        }
        if self.byte().is_multiple_of(16) {
            packet[8..16].copy_from_slice(&MAGIC.to_le_bytes());
        }
        let data = self.bytes();
        packet[32] = data.len() as u8;
        packet.extend_from_slice(&data);
        packet
    }
}

/// Runs a script; panics where a promise is broken.
pub(crate) fn run(script: &[u8]) {
    let mut script = Script(script);
    match script.byte() % 3 {
        0 => server(&mut script),
        1 => client(&mut script),
        _ => both(&mut script),
    }
}

/// Sends under way, with the room for a reply.
#[derive(Default)]
struct Sends(HashMap<u64, Option<u32>>);

impl Sends {
    fn begin(&mut self, server: &mut ServerExchange, script: &mut Script<'_>, now: Instant) {
        let (message, room) = (script.bytes(), script.room());
        let until = script.room().map(|it| now + Duration::from_secs(it.into()));
        let send = server.send(message, room, until);
        assert!(self.0.insert(send, room).is_none(), "a number comes twice");
    }

    fn collect(&mut self, server: &mut ServerExchange) {
        self.0.retain(|send, room| match server.take(*send) {
            None => true,
            Some(outcome) => {
                match (outcome, *room) {
                    (Ok(Sent::Replied(reply)), Some(room)) => {
                        assert!(reply.data.len() <= room as usize);
                    }
                    (Ok(Sent::Replied(_)), None) => panic!("a reply that nobody wanted"),
                    (Ok(Sent::Delivered), Some(_)) => panic!("no reply, which was wanted"),
                    _ => {}
                }
                assert!(server.take(*send).is_none(), "it ends twice");
                false
            }
        });
    }

    fn abandon(&mut self, server: &mut ServerExchange, script: &mut Script<'_>) {
        let number = u64::from(script.byte() % 16);
        server.abandon(number);
        self.0.remove(&number);
    }
}

fn server(script: &mut Script<'_>) {
    let mut server = ServerExchange::default();
    let mut sends = Sends::default();
    let mut now = Instant::now();
    while !script.0.is_empty() {
        match script.byte() % 8 {
            0 | 1 => sends.begin(&mut server, script, now),
            2 => sends.abandon(&mut server, script),
            3 => {
                now += Duration::from_secs(3);
                server.expire(now);
            }
            4 => drop(server.answer()),
            _ => drop(server.feed(&script.packet(0))),
        }
        if !script.byte().is_multiple_of(4) {
            while server.outgoing().is_some() {}
        }
        sends.collect(&mut server);
    }
    server.end();
    sends.collect(&mut server);
    assert!(sends.0.is_empty(), "a send has no end");
    assert!(
        server.outgoing().is_none(),
        "something is sent after the end"
    );
}

fn client(script: &mut Script<'_>) {
    let mut client = ClientExchange::default();
    let mut gets = HashMap::new();
    let mut replies = Vec::new();
    let mut sends = Vec::new();
    while !script.0.is_empty() {
        match script.byte() % 8 {
            0 | 1 => {
                let room = script.room().unwrap_or(64);
                gets.insert(client.get(room), room);
            }
            2 => {
                let (data, room) = (script.bytes(), script.room());
                let (reply, get) = client.reply(script.byte().into(), data, room);
                replies.push(reply);
                gets.extend(get.zip(room));
            }
            3 => sends.push(client.send(script.bytes(), 9)),
            4 => {
                let get = script.byte().into();
                client.abandon_get(get);
                gets.remove(&get);
            }
            _ => drop(client.feed(&script.packet(0x80))),
        }
        while client.outgoing().is_some() {}
        gets.retain(|get, room| check_get(&mut client, *get, *room));
        replies.retain(|reply| client.take_reply(*reply).is_none());
        sends.retain(|send| !client.take_send(*send));
    }
    client.end();
    gets.retain(|get, room| check_get(&mut client, *get, *room));
    replies.retain(|reply| client.take_reply(*reply).is_none());
    sends.retain(|send| !client.take_send(*send));
    let left = (gets.len(), replies.len(), sends.len());
    assert_eq!(left, (0, 0, 0), "something has no end");
}

/// Whether a get is still under way.
fn check_get(client: &mut ClientExchange, get: u64, room: u32) -> bool {
    match client.take_get(get) {
        None => true,
        Some(Ok((_, data))) => {
            assert!(data.len() <= room as usize, "more than there is room for");
            assert!(client.take_get(get).is_none(), "it ends twice");
            false
        }
        Some(Err(_)) => false,
    }
}

/// A server and a client that do nothing wrong: neither finds anything wrong, and no message comes twice.
fn both(script: &mut Script<'_>) {
    let mut server = ServerExchange::default();
    let mut client = ClientExchange::default();
    let mut sends = Sends::default();
    let mut now = Instant::now();
    let mut gets = HashMap::new();
    let mut seen = HashSet::new();
    while !script.0.is_empty() {
        match script.byte() % 8 {
            0 | 1 => sends.begin(&mut server, script, now),
            2 => sends.abandon(&mut server, script),
            3 => {
                now += Duration::from_secs(3);
                server.expire(now);
            }
            4 => {
                let room = script.room().unwrap_or(64);
                gets.insert(client.get(room), room);
            }
            5 => {
                let data = script.bytes();
                let (_, get) = client.reply(script.byte().into(), data, Some(64));
                gets.extend(get.zip(Some(64)));
            }
            6 => {
                let get = u64::from(script.byte() % 32);
                client.abandon_get(get);
                gets.remove(&get);
            }
            _ => {
                client.send(script.bytes(), 64);
                server.answer();
            }
        }
        exchange(&mut server, &mut client, script.byte() % 4);
        sends.collect(&mut server);
        gets.retain(|get, room| match client.take_get(*get) {
            None => true,
            Some(Ok((message, data))) => {
                assert!(data.len() <= *room as usize);
                assert!(seen.insert(message), "a message comes twice");
                false
            }
            Some(Err(_)) => false,
        });
    }
}

fn exchange(server: &mut ServerExchange, client: &mut ClientExchange, most: u8) {
    for _ in 0..most {
        if let Some(packet) = client.outgoing() {
            assert_eq!(server.feed(&packet), Ok(()));
        }
        if let Some(packet) = server.outgoing() {
            assert_eq!(client.feed(&packet), Ok(()));
        }
    }
}
