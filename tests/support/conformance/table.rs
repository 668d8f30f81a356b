//! What each backend can do, as a table.

use std::fmt::Write as _;

use super::{ability::Ability, backends::Backend};

/// A Markdown table with a row for each ability and a column for each backend.
pub(crate) fn table(backends: &[&Backend]) -> String {
    let mut text = String::from("| |");
    let names = backends.iter().map(|it| it.name);
    names.for_each(|name| text.push_str(&format!(" {name} |")));
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(backends.len()));
    text.push('\n');
    for ability in Ability::ALL {
        let _ = write!(text, "| {} |", ability.words());
        for backend in backends {
            let cell = match backend.refusal(ability) {
                None => "yes".to_owned(),
                Some(refusal) => refusal.words(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}
