//! Reading a history from EDN, the notation that Jepsen and Elle write.
//!
//! A history is a sequence of maps, one an event, in a vector or not. Keywords and symbols become texts, and vectors, lists and
//! sets become lists, so that the same code reads the events of both notations. Tags and discarded forms are skipped.

use std::io::BufRead;
use std::path::Path;

use kv::Result;
use serde_json::{Map, Value};

use super::builder::HistoryBuilder;
use super::edn_source::{Place, Source};
use super::event;
use super::model::History;

/// The deepest nesting of a form: deeper ones would exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Reads a history in EDN, as Jepsen and Elle write it.
///
/// `path` is the name of `input` in errors. The memory is that of the [`History`] and of the longest event.
///
/// # Errors
/// `Io`; `Corruption` at the offset of the first form that is no event, or that does not fit to the events before it.
pub fn read_edn(path: impl AsRef<Path>, input: impl BufRead) -> Result<History> {
    let mut forms = Forms { source: Source::new(path.as_ref(), input), enclosing: None };
    let mut builder = HistoryBuilder::new();
    while let Some((place, form)) = forms.next_event()? {
        event::apply(form, &mut builder).map_err(|what| forms.source.error(place, &what))?;
    }
    Ok(builder.finish())
}

/// The forms of the input, one at a time.
struct Forms<'p, R> {
    source: Source<'p, R>,
    /// The bracket that ends the collection around all events, once it has begun.
    enclosing: Option<u8>,
}

impl<R: BufRead> Forms<'_, R> {
    /// The next event and its place. Enters and leaves the vector around all events.
    fn next_event(&mut self) -> Result<Option<(Place, Value)>> {
        loop {
            self.source.begin_event();
            let place = match self.source.skip_space()? {
                None if self.enclosing.is_some() => return self.source.fail("the list has no end"),
                None => return Ok(None),
                // A vector or list at the top holds the events.
                Some(open @ (b'[' | b'(')) if self.enclosing.is_none() => {
                    self.source.take()?;
                    self.enclosing = Some(if open == b'[' { b']' } else { b')' });
                    continue;
                }
                Some(close) if Some(close) == self.enclosing => {
                    self.source.take()?;
                    self.enclosing = None;
                    continue;
                }
                Some(_) => self.source.place,
            };
            self.source.begin_event();
            if let Some(form) = self.form(0)? {
                return Ok(Some((place, form)));
            }
        }
    }

    /// The form that begins at the next byte. `None` if it was discarded.
    fn form(&mut self, depth: usize) -> Result<Option<Value>> {
        if depth == MAX_DEPTH {
            return self.source.fail(&format!("more than {MAX_DEPTH} forms in each other"));
        }
        let form = match self.source.skip_space()? {
            None => return self.source.fail("a form is missing at the end of the file"),
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(b']', depth)?,
            Some(b'(') => self.list(b')', depth)?,
            Some(b'"') => self.text()?,
            Some(b'#') => return self.dispatch(depth),
            Some(b'\\') => {
                self.source.take()?;
                Value::String(self.source.word()?)
            }
            Some(b']' | b')' | b'}') => return self.source.fail("a bracket closes nothing"),
            Some(_) => self.atom()?,
        };
        Ok(Some(form))
    }

    /// A form after `#`: a set, a discarded form, or a form with a tag.
    fn dispatch(&mut self, depth: usize) -> Result<Option<Value>> {
        self.source.take()?;
        match self.source.peek()? {
            Some(b'{') => Ok(Some(self.list(b'}', depth)?)),
            Some(b'_') => {
                self.source.take()?;
                self.form(depth + 1)?;
                Ok(None)
            }
            // The tag names the type of the form behind it: `#jepsen.history.Op{...}`.
            Some(_) => {
                self.source.word()?;
                self.form(depth + 1)
            }
            None => self.source.fail("a tag without a form at the end of the file"),
        }
    }

    /// The forms up to the bracket `close`. The opening bracket is the next byte.
    fn list(&mut self, close: u8, depth: usize) -> Result<Value> {
        self.source.take()?;
        let mut forms = Vec::new();
        while self.source.skip_space()? != Some(close) {
            forms.extend(self.form(depth + 1)?);
        }
        self.source.take()?;
        Ok(Value::Array(forms))
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        let Value::Array(forms) = self.list(b'}', depth)? else {
            return self.source.fail("a map is no list");
        };
        if forms.len() % 2 != 0 {
            return self.source.fail("a key of a map has no value");
        }
        let mut map = Map::new();
        let mut forms = forms.into_iter();
        while let (Some(key), Some(value)) = (forms.next(), forms.next()) {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_string);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn text(&mut self) -> Result<Value> {
        self.source.take()?;
        let mut text = Vec::new();
        loop {
            match self.source.take()? {
                None => return self.source.fail("a text has no end"),
                Some(b'"') => break,
                Some(b'\\') => self.escaped(&mut text)?,
                Some(byte) => text.push(byte),
            }
        }
        let text = String::from_utf8(text).or_else(|_| self.source.fail("a text is not UTF-8"))?;
        Ok(Value::String(text))
    }

    /// The character behind a backslash in a text.
    fn escaped(&mut self, text: &mut Vec<u8>) -> Result<()> {
        match self.source.take()? {
            Some(b'n') => text.push(b'\n'),
            Some(b't') => text.push(b'\t'),
            Some(b'r') => text.push(b'\r'),
            Some(same @ (b'"' | b'\\')) => text.push(same),
            Some(b'u') => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.source.take()?.and_then(|byte| char::from(byte).to_digit(16));
                    let Some(digit) = digit else {
                        return self.source.fail("\\u without four hexadecimal digits");
                    };
                    code = code * 16 + digit;
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
            _ => return self.source.fail("an unknown character behind a backslash"),
        }
        Ok(())
    }

    /// A keyword, symbol or number.
    fn atom(&mut self) -> Result<Value> {
        let word = self.source.word()?;
        let integer = word.strip_suffix('N').unwrap_or(&word);
        Ok(match word.as_str() {
            "nil" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            keyword if keyword.starts_with(':') => Value::String(keyword[1..].to_string()),
            _ if integer.parse::<i64>().is_ok() => {
                Value::from(integer.parse::<i64>().unwrap_or_default())
            }
            number if number.parse::<f64>().is_ok() => {
                Value::from(number.parse::<f64>().unwrap_or_default())
            }
            symbol => Value::String(symbol.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> Result<Vec<Value>> {
        let mut forms =
            Forms { source: Source::new(Path::new("t.edn"), text.as_bytes()), enclosing: None };
        let mut all = Vec::new();
        while let Some((_, form)) = forms.next_event()? {
            all.push(form);
        }
        Ok(all)
    }

    #[test]
    fn every_kind_of_form_becomes_json() {
        let text = r#"; a comment
            {:type :ok, :value [[:r "a\"\u00e9" nil] [:append 3N -1]] :time 1.5 :b #{true} 7 (false)}
            #_{:ignored true} #jepsen.history.Op{:f :txn} \c"#;
        let expected = [
            serde_json::json!({"type": "ok", "value": [["r", "a\"é", null], ["append", 3, -1]],
                "time": 1.5, "b": [true], "7": [false]}),
            serde_json::json!({"f": "txn"}),
            serde_json::json!("c"),
        ];
        assert_eq!(forms(text).unwrap(), expected);
    }

    #[test]
    fn the_vector_around_all_events_is_no_event() {
        let expected = [serde_json::json!({"a": 1}), serde_json::json!({"a": 2})];
        assert_eq!(forms("[{:a 1}\n{:a 2}]\n").unwrap(), expected);
    }

    #[test]
    fn a_broken_form_is_an_error_with_its_line() {
        for text in ["\n{:a", "\n{:a 1]", "\n[{:a 1}", "\n{:a}", "\n\"a", "\n#", "\n]"] {
            let error = forms(text).unwrap_err();
            assert!(
                error.is_corruption() && error.to_string().contains("line 2"),
                "{text:?}: {error}"
            );
        }
        let deep = "[".repeat(1000);
        assert!(forms(&deep).unwrap_err().to_string().contains("in each other"));
    }
}
