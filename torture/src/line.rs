//! One line of text that repeats one failure: `suite name=value ... script=step step step`.

use std::fmt;
use std::str::FromStr;

use crate::script::Script;

/// A parsed replay line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) suite: String,
    fields: Vec<(String, String)>,
    script: Option<Script>,
}

impl Line {
    pub(crate) fn new(suite: &str, subject: &str) -> Self {
        let line = Self { suite: suite.into(), fields: Vec::new(), script: None };
        line.with("subject", subject)
    }

    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        assert!(!value.contains(char::is_whitespace), "{name}={value} is one word of a line");
        assert!(!name.contains(['=', ' ']), "{name:?} is a name in a line");
        self.fields.push((name.into(), value));
        self
    }

    pub(crate) fn with_script(mut self, script: &Script) -> Self {
        debug_assert_eq!(&script.to_string().parse(), &Ok(script.clone()), "a script reads back");
        self.script = Some(script.clone());
        self
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let (_, value) = self
            .fields
            .iter()
            .find(|(field, _)| field == name)
            .ok_or_else(|| format!("the replay line has no {name}"))?;
        value.parse().map_err(|_| format!("{name}={value} in the replay line means nothing"))
    }

    pub(crate) fn script(&self) -> Result<&Script, String> {
        self.script.as_ref().ok_or_else(|| "the replay line has no script".into())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suite)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        self.script.as_ref().map_or(Ok(()), |script| write!(f, " script={script}"))
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, script) = match text.split_once(" script=") {
            Some((head, script)) => (head, Some(script.parse()?)),
            None => (text, None),
        };
        let mut words = head.split_whitespace();
        let suite = words.next().ok_or("the replay line is empty")?.into();
        let field = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        };
        let fields = words
            .map(|word| field(word).ok_or_else(|| format!("{word:?} is no field of a replay line")))
            .collect::<Result<_, _>>()?;
        Ok(Self { suite, fields, script })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_the_way_through_text() {
        let script: Script = "p1.2/s reopen".parse().unwrap();
        let line = Line::new("crash", "toy").with("point", 12).with_script(&script);
        let text = line.to_string();
        assert_eq!(text, "crash subject=toy point=12 script=p1.2/s reopen");
        let back: Line = text.parse().unwrap();
        assert_eq!(back, line);
        assert_eq!(back.get::<usize>("point"), Ok(12));
        assert!(back.get::<usize>("seed").is_err());
    }
}
