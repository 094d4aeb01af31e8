//! Names with `*`: `lsm-*`, `peer:*`, `*`.

/// Whether `name` fits `pattern`, where `*` stands for any characters.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("lsm-*", "lsm-stcs") && matches("*", "") && matches("a*c*", "abcd"));
        assert!(!matches("lsm-*", "lsm") && !matches("a", "ab"));
    }
}
