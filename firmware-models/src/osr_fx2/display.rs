//! The two displays: seven segments with a dot, and a bar graph of eight LEDs.

/// Which of the seven segments, and the dot, are lit: 0x01 the top one, 0x02 top right, 0x04 bottom right, 0x08 the dot,
/// 0x10 bottom left, 0x20 the centre, 0x40 top left, 0x80 the bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "SEVEN_SEGMENT")]
pub struct SevenSegments(u8);

const DOT: u8 = 0x08;

/// What seven segments can show. Of those that look the same, the first is told.
static GLYPHS: [(char, u8); 30] = [
    ('0', 0xd7),
    ('1', 0x06),
    ('2', 0xb3),
    ('3', 0xa7),
    ('4', 0x66),
    ('5', 0xe5),
    ('6', 0xf5),
    ('7', 0x07),
    ('8', 0xf7),
    ('9', 0xe7),
    ('A', 0x77),
    ('b', 0xf4),
    ('C', 0xd1),
    ('d', 0xb6),
    ('E', 0xf1),
    ('F', 0x71),
    ('G', 0xd5),
    ('H', 0x76),
    ('J', 0x96),
    ('L', 0xd0),
    ('n', 0x34),
    ('o', 0xb4),
    ('P', 0x73),
    ('r', 0x30),
    ('S', 0xe5),
    ('t', 0xf0),
    ('U', 0xd6),
    ('y', 0xe6),
    ('-', 0x20),
    (' ', 0x00),
];

impl SevenSegments {
    /// The segments that a byte tells.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The segments that show a character, a letter in the case that it has on seven segments; `None` where they can't.
    pub fn of(character: char) -> Option<Self> {
        let same = |known: char| known.eq_ignore_ascii_case(&character);
        let glyph = GLYPHS.iter().find(|(known, _)| same(*known));
        glyph.map(|(_, bits)| Self(*bits))
    }

    /// A digit; nothing for a larger number.
    pub(super) fn digit(digit: u8) -> Self {
        let character = char::from_digit(digit.into(), 10);
        character.and_then(Self::of).unwrap_or_default()
    }

    /// The segments as the board sends them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The character that they show, whatever the dot does; `None` where they show none. 5 and S look the same, and are told
    /// as 5.
    pub fn character(self) -> Option<char> {
        let glyph = GLYPHS.iter().find(|(_, bits)| *bits == self.0 & !DOT);
        glyph.map(|(character, _)| *character)
    }

    /// Whether the dot is lit.
    pub const fn dot(self) -> bool {
        self.0 & DOT != 0
    }
}

/// Which LEDs of the bar graph are lit: LED 1 to 5 are 0x08 to 0x80, LED 6 to 8 are 0x01 to 0x04.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "BAR_GRAPH_STATE")]
pub struct BarGraph(u8);

/// A number that no LED has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no LED {0} in the bar graph: they are numbered 1 to 8")]
pub struct NoSuchLed(pub u8);

impl BarGraph {
    /// The LEDs that a byte tells.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// LED 1 and those that follow, so many of them.
    pub(super) fn level(lit: u8) -> Self {
        let lit = if lit < 8 { (1 << lit) - 1 } else { u8::MAX };
        Self(lit.rotate_left(3))
    }

    /// The LEDs as the board sends them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether an LED is lit, 1 to 8.
    ///
    /// # Errors
    /// Where there is no such LED.
    pub fn is_lit(self, led: u8) -> Result<bool, NoSuchLed> {
        match led {
            1..=8 => Ok(self.0.rotate_right(3) >> (led - 1) & 1 != 0),
            _ => Err(NoSuchLed(led)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_segments_show_is_told_as_a_character() {
        for character in "0123456789AbCdEFGHJLnoPrtUy- ".chars() {
            let segments = SevenSegments::of(character).unwrap();
            assert_eq!(segments.character(), Some(character));
            let dotted = SevenSegments::new(segments.bits() | 0x08);
            assert_eq!((dotted.character(), dotted.dot()), (Some(character), true));
        }
        assert_eq!(SevenSegments::of('1'), Some(SevenSegments::new(0x06)));
        assert_eq!(SevenSegments::of('S'), SevenSegments::of('5'));
        assert_eq!(SevenSegments::of('h'), SevenSegments::of('H'));
        assert_eq!(SevenSegments::of('W'), None);
        assert_eq!(SevenSegments::new(0x41).character(), None);
    }

    #[test]
    fn led_1_to_5_are_the_upper_bits_and_6_to_8_the_lower_ones() {
        for (led, bits) in (1..).zip([0x08, 0x10, 0x20, 0x40, 0x80, 0x01, 0x02, 0x04]) {
            let graph = BarGraph::new(bits);
            let lit: Vec<u8> = (1..=8).filter(|it| graph.is_lit(*it).unwrap()).collect();
            assert_eq!(lit, [led]);
            let below = BarGraph::level(led - 1).bits();
            assert_eq!(BarGraph::level(led).bits(), below | bits);
        }
        assert_eq!(BarGraph::level(0).bits(), 0);
        assert_eq!(BarGraph::default().is_lit(9), Err(NoSuchLed(9)));
        assert_eq!(BarGraph::default().is_lit(0), Err(NoSuchLed(0)));
    }
}
