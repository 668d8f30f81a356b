//! The name that was meant, where one is not known.

/// How alike two names have to be, from 0 to 1 by Jaro and Winkler, for one to be taken for the other.
const ALIKE: f64 = 0.85;

/// ` (did you mean `NAME`?)` for the one of the names that is most like what was found, or nothing where none is.
pub(crate) fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let rated = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&found.to_lowercase(), name), name));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0));
    match best.filter(|(alike, _)| *alike > ALIKE) {
        Some((_, name)) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_offered_and_no_other() {
        let names = ["gadget-zero", "disk", "serial", "keyboard"];
        for (found, meant) in [
            ("gadgetzero", "gadget-zero"),
            ("gadget_zero", "gadget-zero"),
            ("Disc", "disk"),
            ("keybord", "keyboard"),
        ] {
            let told = format!(" (did you mean `{meant}`?)");
            assert_eq!(did_you_mean(found, names), told, "{found}");
        }
        for found in ["", "1-1", "127.0.0.1:3240", "camera", "x"] {
            assert_eq!(did_you_mean(found, names), "", "{found}");
        }
    }
}
