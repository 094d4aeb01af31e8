//! A part of a soak, so that a long soak can run in pieces, on several machines, or resume after a stop.

use std::fmt;
use std::str::FromStr;

/// Part `index` of `count` equal parts. The text form counts from 1: `3/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0 up to, not including, `count`.
    index: u64,
    /// At least 1.
    count: u64,
}

impl Shard {
    /// The whole soak.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Whether the piece of work with this number belongs to this part. Each number belongs to exactly one part.
    pub fn takes(self, number: u64) -> bool {
        debug_assert!(self.index < self.count, "part {} of {}", self.index, self.count);
        number % self.count == self.index
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_assert!(self.index < self.count, "part {} of {}", self.index, self.count);
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is not a part; write 3/16 for the third of sixteen");
        let (number, count) = text.split_once('/').ok_or_else(unknown)?;
        let number: u64 = number.parse().map_err(|_| unknown())?;
        let count: u64 = count.parse().map_err(|_| unknown())?;
        if number == 0 || number > count {
            return Err(unknown());
        }
        debug_assert!(0 < number && number <= count, "part {number} of {count}");
        Ok(Self { index: number - 1, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_soak_cover_each_number_once() {
        let parts: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().unwrap()).into();
        for number in 0..10 {
            assert_eq!(parts.iter().filter(|part| part.takes(number)).count(), 1);
        }
        assert!((0..10).all(|number| Shard::ALL.takes(number)));
        assert_eq!(parts[1].to_string(), "2/3");
        for text in ["0/3", "4/3", "3", "a/b"] {
            text.parse::<Shard>().unwrap_err();
        }
    }
}
