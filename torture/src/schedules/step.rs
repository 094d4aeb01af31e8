//! One step of a schedule, and its notation.

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Get a key; the answer must be this.
    Get(String, Option<String>),
    /// Put a key.
    Put(String, String),
    /// Delete a key.
    Delete(String),
    /// Mark a key.
    Mark(String),
    /// Scan; the answer must be the one of the scan.
    Scan(Scan),
    /// Scan, and delete each entry of the answer.
    DeleteScanned(Scan),
    /// Begin read-only.
    BeginReadOnly,
    /// Begin read-only and deferrable.
    BeginDeferrable,
    /// Begin on the state after the commit of this transaction.
    BeginAfter(u64),
    /// Set the savepoint of this name.
    SetSavepoint(String),
    /// Roll back to the savepoint of this name.
    RollbackTo(String),
    /// Commit.
    Commit,
    /// Roll back.
    Rollback,
}

/// A scan of all keys with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The prefix.
    pub prefix: String,
    /// Whether it walks backward.
    pub is_backward: bool,
    /// The entries that the client keeps.
    pub filter: Filter,
    /// The entries that are left, in the order of the walk.
    pub answer: Vec<(String, String)>,
}

/// Which entries of a scan the client keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// All of them.
    All,
    /// Those whose value is this number.
    Is(i64),
    /// Those whose value is a multiple of this number.
    MultipleOf(i64),
}

impl Filter {
    /// Whether the filter keeps an entry with this value.
    pub fn keeps(&self, value: &str) -> bool {
        let number = value.parse::<i64>();
        match self {
            Self::All => true,
            Self::Is(expected) => number.is_ok_and(|number| number == *expected),
            Self::MultipleOf(divisor) => number.is_ok_and(|number| number % divisor == 0),
        }
    }
}

impl Step {
    /// Reads a step, as `1r x=10`: the number of its transaction and the step.
    pub(super) fn parse(text: &str) -> Result<(u64, Self), String> {
        let malformed = || format!("`{text}` is no step");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let transaction = text[..digits].parse().map_err(|_| malformed())?;
        let mut rest = text[digits..].chars();
        let operation = rest.next().ok_or_else(malformed)?;
        let argument = rest.as_str().trim();
        let step = match operation {
            'r' => {
                let (key, value) = argument.split_once('=').ok_or_else(malformed)?;
                Self::Get(key.into(), (value != "nil").then(|| value.into()))
            }
            'w' => {
                let (key, value) = argument.split_once(' ').ok_or_else(malformed)?;
                Self::Put(key.into(), value.into())
            }
            'd' => Self::Delete(argument.into()),
            'm' => Self::Mark(argument.into()),
            's' => Self::Scan(Scan::parse(argument, false).ok_or_else(malformed)?),
            'S' => Self::Scan(Scan::parse(argument, true).ok_or_else(malformed)?),
            'D' => Self::DeleteScanned(Scan::parse(argument, false).ok_or_else(malformed)?),
            'b' => Self::parse_begin(argument).ok_or_else(malformed)?,
            'p' => Self::SetSavepoint(argument.into()),
            'u' => Self::RollbackTo(argument.into()),
            'c' if argument.is_empty() => Self::Commit,
            'a' if argument.is_empty() => Self::Rollback,
            _ => return Err(malformed()),
        };
        let needs_name = matches!(operation, 'd' | 'm' | 'p' | 'u');
        if needs_name && argument.is_empty() { Err(malformed()) } else { Ok((transaction, step)) }
    }

    fn parse_begin(argument: &str) -> Option<Self> {
        match argument {
            "ro" => Some(Self::BeginReadOnly),
            "rod" => Some(Self::BeginDeferrable),
            _ => argument.strip_prefix("after ")?.parse().ok().map(Self::BeginAfter),
        }
    }
}

impl Scan {
    /// Reads `PREFIX{FILTER}=[K:V K:V]`; the filter and `=` may be missing.
    fn parse(text: &str, is_backward: bool) -> Option<Self> {
        let (range, answer) = text.strip_suffix(']')?.split_once('[')?;
        let range = range.strip_suffix('=').unwrap_or(range);
        let (prefix, filter) = match range.split_once('{') {
            None => (range, Filter::All),
            Some((prefix, filter)) => (prefix, Filter::parse(filter.strip_suffix('}')?)?),
        };
        let entry =
            |text: &str| text.split_once(':').map(|(key, value)| (key.into(), value.into()));
        let answer = answer.split_whitespace().map(entry).collect::<Option<_>>()?;
        Some(Self { prefix: prefix.into(), is_backward, filter, answer })
    }
}

impl Filter {
    fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix("v==") {
            return number.parse().ok().map(Self::Is);
        }
        let divisor = text.strip_prefix("v%")?.strip_suffix("==0")?.parse().ok()?;
        (divisor != 0).then_some(Self::MultipleOf(divisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_is_read() {
        let get = |key: &str, value: Option<&str>| Step::Get(key.into(), value.map(Into::into));
        let scan = |answer: &[(&str, &str)], filter| {
            let own = |&(key, value): &(&str, &str)| (key.into(), value.into());
            let answer = answer.iter().map(own).collect();
            Scan { prefix: "k/".into(), is_backward: false, filter, answer }
        };
        let table = [
            ("1r x=10", 1, get("x", Some("10"))),
            ("12r x=nil", 12, get("x", None)),
            ("1w x -11", 1, Step::Put("x".into(), "-11".into())),
            (
                "3s k/=[k/1:10 k/2:20]",
                3,
                Step::Scan(scan(&[("k/1", "10"), ("k/2", "20")], Filter::All)),
            ),
            ("3s k/{v%3==0}=[]", 3, Step::Scan(scan(&[], Filter::MultipleOf(3)))),
            (
                "3D k/{v==20}[k/2:20]",
                3,
                Step::DeleteScanned(scan(&[("k/2", "20")], Filter::Is(20))),
            ),
            ("2b after 1", 2, Step::BeginAfter(1)),
            ("2b rod", 2, Step::BeginDeferrable),
            ("2c", 2, Step::Commit),
        ];
        for (text, transaction, step) in table {
            assert_eq!(Step::parse(text), Ok((transaction, step)), "{text}");
        }
    }

    #[test]
    fn a_malformed_step_is_named() {
        for text in [
            "r x=10",
            "1",
            "1x",
            "1r x",
            "1w x",
            "1d",
            "1s k/",
            "1s k/{v}=[]",
            "1b",
            "1c now",
            "1s k/{v%0==0}=[]",
        ] {
            let message = Step::parse(text).unwrap_err();
            assert!(message.contains(text), "{message}");
        }
    }
}
