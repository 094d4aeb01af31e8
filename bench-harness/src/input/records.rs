//! Records: one `key<TAB>text` a line.

use std::collections::HashSet;
use std::io::BufRead;

use super::Input;

/// Reads at most `limit` records.
pub(super) fn read(lines: impl BufRead, limit: u64) -> Result<Input, String> {
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let mut texts: Vec<Box<[u8]>> = Vec::new();
    let mut seen: HashSet<Box<[u8]>> = HashSet::new();
    for (index, line) in lines.split(b'\n').enumerate() {
        if keys.len() as u64 == limit {
            break;
        }
        let row = index + 1;
        let line = line.map_err(|error| format!("line {row}: {error}"))?;
        let tab = line.iter().position(|&byte| byte == b'\t');
        let tab = tab.ok_or_else(|| format!("line {row} has no tab between key and text"))?;
        let key: Box<[u8]> = line[..tab].into();
        if !seen.insert(key.clone()) {
            return Err(format!("line {row} repeats the key \"{}\"", key.escape_ascii()));
        }
        keys.push(key);
        texts.push(line[tab + 1..].into());
    }
    if keys.is_empty() {
        return Err("there are no records".into());
    }
    assert_eq!(keys.len(), texts.len(), "each key has a text");
    Ok(Input::Records { keys: keys.into(), texts: texts.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_tab_or_with_a_known_key_is_refused_with_its_number() {
        let complaint = |text: &str| read(text.as_bytes(), u64::MAX).unwrap_err();
        assert_eq!(complaint("a\t1\nb"), "line 2 has no tab between key and text");
        assert_eq!(complaint("a\t1\na\t2\n"), "line 2 repeats the key \"a\"");
        assert_eq!(complaint(""), "there are no records");
    }
}
