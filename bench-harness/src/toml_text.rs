//! A TOML file as a value. Every mistake is one line with the file, the line number and, where there is one, the right word.

use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::suggest::nearest;

/// Reads the value of a file called `name` (for messages) with the content `text`.
pub(crate) fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Outcome<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start.min(text.len()));
        // A part before each line break, and one behind the last.
        let line = text.as_bytes()[..before].split(|byte| *byte == b'\n').count();
        Failure::usage(format!("{name}:{line}: {}", explain(error.message())))
    })
}

/// One line from a message of the parser; an unknown word gets the nearest of the words it lists.
fn explain(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    let known: Vec<_> = quoted.collect();
    for (prefix, what) in [("unknown field", "key"), ("unknown variant", "word")] {
        if message.starts_with(prefix) {
            let hint = nearest(word, known.iter().copied())
                .map_or(format!("known: {}", known.join(", ")), |near| {
                    format!("did you mean \"{near}\"?")
                });
            return format!("unknown {what} \"{word}\"; {hint}");
        }
    }
    message
}
