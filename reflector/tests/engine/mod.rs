//! The ends of all channels, each against a peer made of a script's bytes, and all of them against each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use usbwright_reflector::{
    exchange::{ApplicationExchange, HostExchange, ReflectorExchange, Routed, Wanted},
    status::NtStatus,
    wire::{HEADER_SIZE, Header, Part, kind},
};
use zerocopy::{FromBytes as _, IntoBytes as _};

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

    /// A packet of one message, or of several.
    fn packets(&mut self, kinds: &[u16]) -> Vec<u8> {
        let behind = usize::from(self.byte()).saturating_sub(252);
        (0..=behind).flat_map(|_| self.packet(kinds)).collect()
    }

    /// A packet that may make sense.
    fn packet(&mut self, kinds: &[u16]) -> Vec<u8> {
        if self.byte().is_multiple_of(32) {
            return self.bytes().to_vec();
        }
        let mut header = match self.byte().is_multiple_of(16) {
            true => Header::hello(),
            false => Header::default(),
        };
        header.kind = kinds[usize::from(self.byte()) % kinds.len()].into();
        if header.kind.get() == kind::WELCOME {
            return Header::welcome().as_bytes().to_vec();
        }
        header.request = u64::from(self.byte() % 32).into();
        for (at, field) in [(1, 4), (2, 16), (4, 24), (8, 48), (16, 52), (32, 56)] {
            // Fields that are not in use are zero, mostly.
            if self.byte() & at != 0 {
                header.as_mut_bytes()[field] = self.byte() % 16;
            }
        }
        let data = self.bytes();
        header.input = Part::inline(data.len());
        [header.as_bytes(), &data].concat()
    }
}

/// Runs a script; panics where a promise is broken.
pub(crate) fn run(script: &[u8]) {
    let mut script = Script(script);
    match script.byte() % 4 {
        0 => reflector(&mut script),
        1 => host(&mut script),
        2 => application(&mut script),
        _ => all(&mut script),
    }
}

const REQUESTS: [u16; 10] = [
    kind::OPEN,
    kind::READ,
    kind::WRITE,
    kind::CONTROL,
    kind::FLUSH,
    kind::QUERY,
    kind::SET,
    kind::CLOSE,
    kind::REGION,
    kind::RELEASE,
];
const REPLIES: [u16; 6] = [
    kind::REPLY,
    kind::REPLY,
    kind::REPLY,
    kind::WELCOME,
    kind::GONE,
    kind::REFUSED,
];

fn header(packet: &[u8]) -> Header {
    Header::read_from_prefix(packet).unwrap().0
}

/// Two applications and a host, none of which can be relied on.
fn reflector(script: &mut Script<'_>) {
    let mut reflector = ReflectorExchange::default();
    let mut under_way = BTreeSet::new();
    let mut there = BTreeSet::new();
    let mut next = 0;
    while !script.0.is_empty() {
        let file = *there
            .iter()
            .nth(usize::from(script.byte() % 2))
            .unwrap_or(&0);
        match script.byte() % 8 {
            0 if there.len() < 2 => {
                next += 1;
                if reflector.attach(next).is_ok() {
                    there.insert(next);
                }
            }
            1 => {
                reflector.leave(file);
                there.remove(&file);
                under_way.retain(|(of, _)| *of != file);
            }
            2 => drop(reflector.cancel(file, &script.packet(&[kind::CANCEL]))),
            3 | 4 if there.contains(&file) => {
                let packet = script.packet(&REQUESTS);
                if let Ok(Routed::ToHost(sent)) = reflector.from_application(file, &packet) {
                    assert_eq!(header(&sent).file.get(), file);
                    let is_new = under_way.insert((file, header(&packet).request.get()));
                    assert!(is_new, "a number comes twice");
                }
            }
            _ => {
                let mut ended = Vec::new();
                let _ = reflector.from_host(&script.packets(&REPLIES), &mut ended);
                for (file, request, _) in ended {
                    assert!(under_way.remove(&(file, request)), "it ends twice");
                }
            }
        }
    }
    let ended: BTreeSet<_> = reflector.end().into_iter().collect();
    assert_eq!(ended, under_way, "each ends once");
    assert_eq!(reflector.outstanding(), 0);
}

fn host(script: &mut Script<'_>) {
    let mut host = HostExchange::default();
    let mut under_way = BTreeSet::new();
    while !script.0.is_empty() {
        match script.byte() % 4 {
            0 => {
                if let Ok(Some(request)) = host.cancel(&script.packet(&[kind::CANCEL])) {
                    assert!(under_way.contains(&request));
                }
            }
            1 => {
                let request = u64::from(script.byte() % 32);
                let closes = host.ended(request, script.byte().is_multiple_of(2));
                assert!(closes.is_none() || under_way.contains(&request));
                under_way.remove(&request);
            }
            _ => {
                let mut packet = script.packets(&REQUESTS);
                if script.byte().is_multiple_of(8) {
                    packet = Header::hello().as_bytes().to_vec();
                }
                let mut wanted = Vec::new();
                let _ = host.feed(&packet, &mut wanted);
                for it in wanted {
                    if let Wanted::Request(request, _) = it {
                        assert!(under_way.insert(request), "a number comes twice");
                    }
                }
            }
        }
    }
}

/// Requests of an application, with the room for what they bring.
#[derive(Default)]
struct Begun(BTreeMap<u64, usize>);

impl Begun {
    fn begin(&mut self, application: &mut ApplicationExchange, script: &mut Script<'_>) {
        let kind = REQUESTS[usize::from(script.byte() % 8)];
        let (input, room) = (script.bytes(), usize::from(script.byte() % 16));
        let (input, room) = match kind {
            kind::READ | kind::QUERY => (Bytes::new(), room),
            kind::WRITE | kind::SET | kind::OPEN => (input, 0),
            kind::CONTROL => (input, room),
            _ => (Bytes::new(), 0),
        };
        let seconds = Some(script.byte() % 8).filter(|it| *it > 3);
        let number = application.begin(kind, input, room, seconds);
        assert!(
            self.0.insert(number, room).is_none(),
            "a number comes twice"
        );
    }

    fn collect(&mut self, application: &mut ApplicationExchange) {
        self.0
            .retain(|number, room| match application.take(*number) {
                None => true,
                Some(outcome) => {
                    assert!(outcome.data.len() <= *room, "more than there is room for");
                    assert!(application.take(*number).is_none(), "it ends twice");
                    false
                }
            });
    }

    /// Does something to requests, or lets time pass.
    fn change(&mut self, application: &mut ApplicationExchange, script: &mut Script<'_>) {
        let number = u64::from(script.byte() % 32);
        match script.byte() % 3 {
            0 => application.cancel(number),
            1 => {
                application.abandon(number);
                self.0.remove(&number);
            }
            _ => application.advance(script.byte() % 4),
        }
    }
}

fn application(script: &mut Script<'_>) {
    let mut application = ApplicationExchange::default();
    let mut begun = Begun::default();
    while !script.0.is_empty() {
        match script.byte() % 4 {
            0 => begun.begin(&mut application, script),
            1 => begun.change(&mut application, script),
            _ => drop(application.feed(&script.packets(&REPLIES))),
        }
        if !script.byte().is_multiple_of(4) {
            while application.outgoing().is_some() {}
            while application.outgoing_cancel().is_some() {}
        }
        begun.collect(&mut application);
    }
    application.end();
    begun.collect(&mut application);
    assert!(begun.0.is_empty(), "a request has no end");
    assert!(application.outgoing().is_none());
}

/// An application, the reflector and a host, which keep the rules; packets wait in between as the script says.
fn all(script: &mut Script<'_>) {
    let mut trio = Trio::default();
    let mut begun = Begun::default();
    trio.reflector.attach(1).unwrap();
    let hello = trio.application.outgoing().unwrap();
    assert_eq!(hello, Header::hello().as_bytes());
    let (hello, welcome) = (Header::hello(), Header::welcome());
    let mut wanted = Vec::new();
    trio.host.feed(hello.as_bytes(), &mut wanted).unwrap();
    assert_eq!(wanted, [Wanted::Welcome]);
    let ended = &mut Vec::new();
    trio.reflector.from_host(welcome.as_bytes(), ended).unwrap();
    trio.application.feed(Header::welcome().as_bytes()).unwrap();
    begun
        .0
        .insert(trio.application.begin(kind::OPEN, Bytes::new(), 0, None), 0);
    while !script.0.is_empty() {
        match script.byte() % 8 {
            0 => begun.begin(&mut trio.application, script),
            1 => begun.change(&mut trio.application, script),
            step => trio.step(step, script.byte()),
        }
        begun.collect(&mut trio.application);
    }
    // Each round brings every packet on by one place, and a script begins fewer requests than it has bytes.
    for _ in 0..5000 {
        (2..8).for_each(|step| trio.step(step, 0));
        begun.collect(&mut trio.application);
        if begun.0.is_empty() && trio.reflector.outstanding() == 0 {
            break;
        }
    }
    assert_eq!(trio.reflector.outstanding(), 0, "the host has ended all");
    assert!(begun.0.is_empty(), "a request has no end");
}

#[derive(Default)]
struct Trio {
    application: ApplicationExchange,
    reflector: ReflectorExchange,
    host: HostExchange,
    to_host: VecDeque<Vec<u8>>,
    cancels: VecDeque<u64>,
    /// What the host has, with the room for what it brings.
    has: VecDeque<Header>,
    replies: VecDeque<Vec<u8>>,
}

impl Trio {
    fn step(&mut self, step: u8, choice: u8) {
        match step {
            2 => self.take_from_application(),
            3 => {
                if let Some(packet) = self.application.outgoing_cancel() {
                    let cancel = self.reflector.cancel(1, &packet).unwrap();
                    self.cancels.extend(cancel);
                }
            }
            4 => self.take_to_host(choice),
            5 => {
                if let Some(number) = self.cancels.pop_front() {
                    let packet = Header::cancel(number);
                    let request = self.host.cancel(packet.as_bytes()).unwrap();
                    if let Some(request) = request {
                        self.finish(request, NtStatus::CANCELLED);
                    }
                }
            }
            6 => {
                let place = usize::from(choice) % self.has.len().max(1);
                if let Some(number) = self.has.get(place).map(|it| it.request.get()) {
                    self.finish(number, NtStatus::SUCCESS);
                }
            }
            _ => self.take_replies(choice),
        }
    }

    /// The reflector takes replies by one packet, and hands them on by one.
    fn take_replies(&mut self, choice: u8) {
        let count = (1 + usize::from(choice % 4)).min(self.replies.len());
        let packets: Vec<Vec<u8>> = self.replies.drain(..count).collect();
        let mut ended = Vec::new();
        if !packets.is_empty() {
            let packet = packets.concat();
            self.reflector.from_host(&packet, &mut ended).unwrap();
        }
        assert_eq!(ended.len(), packets.len(), "the application is there");
        let replies = packets.iter().zip(ended).map(|(packet, (_, request, _))| {
            let mut header = header(packet);
            header.request = request.into();
            [header.as_bytes(), &packet[HEADER_SIZE..]].concat()
        });
        let packet = replies.collect::<Vec<_>>().concat();
        if !packet.is_empty() {
            self.application.feed(&packet).unwrap();
        }
    }

    fn take_from_application(&mut self) {
        let Some(packet) = self.application.outgoing() else {
            return;
        };
        match self.reflector.from_application(1, &packet).unwrap() {
            Routed::ToHost(packet) => self.to_host.push_back(packet),
            Routed::Ends(status) => {
                let request = header(&packet).request.get();
                let reply = Header::reply(request, status, 0, 0);
                self.application.feed(reply.as_bytes()).unwrap();
            }
        }
    }

    /// The host takes requests by one packet.
    fn take_to_host(&mut self, choice: u8) {
        let count = (1 + usize::from(choice % 4)).min(self.to_host.len());
        let packets: Vec<Vec<u8>> = self.to_host.drain(..count).collect();
        let mut wanted = Vec::new();
        if !packets.is_empty() {
            self.host.feed(&packets.concat(), &mut wanted).unwrap();
        }
        assert_eq!(wanted.len(), packets.len());
        for (packet, wanted) in packets.iter().zip(wanted) {
            match wanted {
                Wanted::Welcome => panic!("it was greeted before"),
                Wanted::Request(request, cancelled) => {
                    self.has.push_back(header(packet));
                    if cancelled {
                        self.finish(request, NtStatus::CANCELLED);
                    }
                }
                Wanted::Close(ends) => self.closed(ends),
            }
        }
    }

    /// The host ends a request.
    fn finish(&mut self, request: u64, status: NtStatus) {
        let place = self.has.iter().position(|it| it.request.get() == request);
        let asked = self.has.remove(place.expect("it has that")).unwrap();
        let room = match (asked.kind.get(), status) {
            (kind::READ | kind::CONTROL | kind::QUERY, NtStatus::SUCCESS) => {
                asked.output.length.get() as usize
            }
            _ => 0,
        };
        let header = Header::reply(request, status, room as u64, room);
        self.replies
            .push_back([header.as_bytes(), &vec![0; room]].concat());
        let ends = self.host.ended(request, status == NtStatus::SUCCESS);
        self.closed(ends);
    }

    fn closed(&mut self, ends: Option<u64>) {
        if let Some(request) = ends {
            let header = Header::reply(request, NtStatus::SUCCESS, 0, 0);
            self.replies.push_back(header.as_bytes().to_vec());
        }
    }
}
