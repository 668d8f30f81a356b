//! The keyboard: keys that are held, text that is typed, and the LEDs that its host lights.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use usbwright_emulator::{Firmware, protocol::Class};

use super::{
    Delivery, InputError, Key,
    class::{Function, Hid, Protocol},
    delivery::{States, answer},
    descriptors::{BOOT, Description},
    reports,
    typing::{Layout, NotOnLayout, Stroke, UnicodeInput},
};
use crate::shared::{self, Changes, Held};

/// A keyboard's report: modifiers, a byte that is reserved, and six keys (HID 1.11 §B.1).
type Report = [u8; 8];

/// What a user may choose about a keyboard.
#[derive(Clone, Debug)]
pub struct KeyboardOptions {
    /// What is printed on its keys, as its host has it.
    pub layout: Layout,
    /// How characters are typed that the layout lacks.
    pub unicode: UnicodeInput,
    /// How often its host may ask it, in ms.
    pub interval: u8,
    /// Its serial number.
    pub serial: Option<String>,
}

/// The lights of a keyboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "LED")]
pub struct Leds(u8);

impl Leds {
    const NAMES: [&'static str; 5] = ["num-lock", "caps-lock", "scroll-lock", "compose", "kana"];

    /// The bits of the report (HID 1.11 §B.1): 1 is Num Lock, 2 Caps Lock, 4 Scroll Lock, 8 Compose, 16 Kana.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether digits are typed by the keypad.
    pub fn num_lock(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether capitals are typed.
    pub fn caps_lock(self) -> bool {
        self.0 & 2 != 0
    }

    /// The names of those that are lit.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let lit = move |(place, _): &(usize, &str)| self.0 >> place & 1 != 0;
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(lit)
            .map(|it| it.1)
    }
}

impl fmt::Display for Leds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        match names.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&names.join(", ")),
        }
    }
}

/// What a keyboard's user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyboardState {
    /// What the host lights.
    pub leds: Leds,
    /// What the host has read.
    pub delivery: Delivery,
}

/// Why a text can't be typed. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// A character that is on no key.
    #[error(transparent)]
    Character(#[from] NotOnLayout),
    /// A key that is held would change what is typed.
    #[error("{0} is held down: release it first")]
    Held(Key),
    /// The host does not take it.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// The user's side of a keyboard. Clones are the same keyboard's; any thread may use them, at any time, also when the device is gone.
///
/// Each change of a key is a report of its own, which the host reads in order, however slowly it asks.
#[derive(Clone, Debug)]
pub struct Keyboard(Arc<Held<Keys>>);

impl Keyboard {
    /// A keyboard that is on no bus yet: its user's side, and the firmware for a device.
    pub fn new(options: KeyboardOptions) -> (Self, impl Firmware) {
        let description = Description {
            class: Class {
                class: 3,
                subclass: BOOT,
                protocol: 1,
            },
            product: "Keyboard",
            serial: options.serial.clone(),
            country: options.layout.country(),
            // §7.2.4: what keyboards begin with.
            idle: Duration::from_millis(500),
            interval: options.interval,
            reports: reports::keyboard(),
            longest: size_of::<Report>() as u16,
        };
        let (firmware, held) = Hid::new(description, Keys::new(options));
        (Self(held), firmware)
    }

    /// What its user sees.
    pub fn state(&self) -> KeyboardState {
        self.0.shared().state()
    }

    /// What the host lights.
    pub fn leds(&self) -> Leds {
        self.state().leds
    }

    /// Presses keys, one after another, that are held from then on. Of more than six, a host is told that there are too many.
    ///
    /// # Errors
    /// Where the host does not read; then none is pressed.
    pub fn press(&self, keys: &[Key]) -> Result<(), InputError> {
        self.change(|held| {
            for key in keys {
                held.press(*key);
            }
        })
    }

    /// Releases keys, one after another.
    ///
    /// # Errors
    /// Where the host does not read; then none is released.
    pub fn release(&self, keys: &[Key]) -> Result<(), InputError> {
        self.change(|held| {
            for key in keys {
                held.release(*key);
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut HeldKeys)) -> Result<(), InputError> {
        self.0.act(|keys| {
            let mut steps = HeldKeys {
                keys: keys.held.clone(),
                passed: Vec::new(),
            };
            change(&mut steps);
            let passed = if keys.delivery().configured {
                keys.states.pass_through(steps.passed)
            } else {
                keys.states.set(encode(&steps.keys))
            };
            if passed.is_ok() {
                keys.held = steps.keys;
            }
            answer(passed)
        })
    }

    /// Presses keys, one after another, and releases them in the opposite order.
    ///
    /// # Errors
    /// Where no host uses the keyboard or does not read; then none is pressed.
    pub fn tap(&self, keys: &[Key]) -> Result<(), InputError> {
        self.0.act(|state| {
            let mut steps = HeldKeys {
                keys: state.held.clone(),
                passed: Vec::new(),
            };
            let pressed: Vec<_> = keys.iter().filter(|key| steps.press(**key)).collect();
            for key in pressed.into_iter().rev() {
                steps.release(*key);
            }
            let passed = state.delivery().admit(1).map(|()| steps.passed);
            answer(passed.and_then(|passed| state.states.pass_through(passed)))
        })
    }

    /// Types a text: its characters by the layout, its line ends by Enter. Where the host has lit Caps Lock, that is turned off and,
    /// at the end, on again.
    ///
    /// # Errors
    /// Where a character is not on the layout, a key is held, no host uses the keyboard, or it does not read. Then nothing is typed.
    pub fn type_text(&self, text: &str) -> Result<(), TypeError> {
        self.0.act(|keys| match keys.type_text(text) {
            Ok(wake) => (wake, Ok(())),
            Err(error) => (false, Err(error)),
        })
    }

    /// The keys that words between `+` name, such as `ctrl+alt+del`: a single character is the key of the layout that types it, alone
    /// or with Shift or AltGr, which are not added.
    ///
    /// # Errors
    /// Where a word names no key.
    pub fn chord(&self, text: &str) -> Result<Vec<Key>, super::NoSuchKey> {
        self.0.shared().look(|keys| {
            let word = |word: &str| {
                let mut characters = word.chars();
                match (characters.next(), characters.next()) {
                    (Some(only), None) => keys.options.layout.key_of(only),
                    _ => None,
                }
                .map_or_else(|| word.parse(), Ok)
            };
            // The key of `+` itself stands at the end: `ctrl++`.
            match text.strip_suffix("++") {
                Some(rest) => rest.split('+').chain(["+"]).map(word).collect(),
                None if text == "+" => word("+").map(|key| vec![key]),
                None => text.split('+').map(word).collect(),
            }
        })
    }

    /// A way to wait for changes, those after this call: of the LEDs, and of what the host has read.
    pub fn changes(&self) -> Changes<KeyboardState> {
        self.0.changes()
    }
}

/// Keys that are pressed and released, and the reports that come of it.
struct HeldKeys {
    keys: Vec<Key>,
    passed: Vec<Report>,
}

impl HeldKeys {
    /// Tells whether it was not held.
    fn press(&mut self, key: Key) -> bool {
        let new = !self.keys.contains(&key);
        if new {
            self.keys.push(key);
            self.passed.push(encode(&self.keys));
        }
        new
    }

    fn release(&mut self, key: Key) {
        if let Some(place) = self.keys.iter().position(|held| *held == key) {
            self.keys.remove(place);
            self.passed.push(encode(&self.keys));
        }
    }
}

/// The report of keys that are held. Of more than six besides modifiers it tells that there are too many (§B.1).
fn encode(held: &[Key]) -> Report {
    const ERROR_ROLL_OVER: u8 = 1;
    let mut report = [0; 8];
    report[0] = held.iter().filter_map(|key| key.modifier()).sum();
    let others = held.iter().filter(|key| key.modifier().is_none());
    let mut places = report[2..].iter_mut();
    for key in others {
        match places.next() {
            Some(place) => *place = key.usage(),
            None => {
                report[2..].fill(ERROR_ROLL_OVER);
                break;
            }
        }
    }
    report
}

/// The keys of a keyboard, and its lights.
#[derive(Debug)]
pub(super) struct Keys {
    options: KeyboardOptions,
    /// In the order in which they were pressed.
    held: Vec<Key>,
    states: States<8>,
    leds: Leds,
}

impl Keys {
    fn new(options: KeyboardOptions) -> Self {
        Self {
            options,
            held: Vec::new(),
            states: States::new([0; 8]),
            leds: Leds::default(),
        }
    }

    fn delivery(&self) -> Delivery {
        self.states.delivery()
    }

    /// Tells whether the device has something to send by it.
    fn type_text(&mut self, text: &str) -> Result<bool, TypeError> {
        let mut strokes = self.options.layout.strokes(text, self.options.unicode)?;
        if let Some(held) = self.held.first() {
            return Err(TypeError::Held(*held));
        }
        self.delivery().admit(1)?;
        if self.leds.caps_lock() && !strokes.is_empty() {
            let caps_lock = Stroke::plain(Key::CAPS_LOCK);
            strokes.insert(0, caps_lock);
            strokes.push(caps_lock);
        }
        Ok(self.states.pass_through(reports_of(&strokes))?)
    }
}

/// The reports of strokes: modifiers change while no other key is down.
fn reports_of(strokes: &[Stroke]) -> impl Iterator<Item = Report> {
    let report = |modifiers, key| [modifiers, 0, key, 0, 0, 0, 0, 0];
    let typed = strokes.iter().flat_map(move |stroke| {
        let modifiers = stroke.modifiers;
        let key = report(modifiers, stroke.key.usage());
        [report(modifiers, 0), key, report(modifiers, 0)]
    });
    typed.chain([report(0, 0)])
}

impl shared::Panel for Keys {
    type State = KeyboardState;

    fn state(&self) -> KeyboardState {
        KeyboardState {
            leds: self.leds,
            delivery: self.delivery(),
        }
    }
}

impl Function for Keys {
    fn connect(&mut self, configured: bool) {
        self.leds = Leds::default();
        self.states.connect(configured);
    }

    fn next(&mut self, _: Protocol) -> Option<Bytes> {
        let report = self.states.next()?;
        Some(Bytes::copy_from_slice(&report))
    }

    fn again(&self, _: Protocol) -> Bytes {
        Bytes::copy_from_slice(&self.states.told())
    }

    fn output(&self) -> Option<u8> {
        Some(self.leds.bits())
    }

    fn set_output(&mut self, report: u8) {
        self.leds = Leds(report & 0x1f);
    }
}
