//! "Did you mean": the nearest known name to one that is not known.

/// The candidate most like `name`, if one is like enough to be worth proposing.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// `unknown WHAT "NAME"; did you mean "OTHER"?`, or the whole list where nothing is near.
pub(crate) fn unknown<S: AsRef<str>>(
    what: &str,
    name: &str,
    candidates: impl IntoIterator<Item = S>,
) -> String {
    let all: Vec<S> = candidates.into_iter().collect();
    if let Some(near) = nearest(name, all.iter().map(AsRef::as_ref)) {
        return format!("unknown {what} \"{name}\"; did you mean \"{near}\"?");
    }
    let all: Vec<_> = all.iter().map(AsRef::as_ref).collect();
    format!("unknown {what} \"{name}\"; known: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_gets_the_list() {
        assert_eq!(nearest("bitcaks", ["memory", "bitcask"]), Some("bitcask"));
        assert_eq!(unknown("engine", "xyz", ["memory"]), "unknown engine \"xyz\"; known: memory");
    }
}
