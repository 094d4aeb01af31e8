//! The text files of `/proc`: lines with a name, a colon and a number.

/// The number after `name:` on a line of its own.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmHWMX:\t1 kB\nVmHWM:\t  1932 kB\n";
        assert_eq!(field(text, "VmHWM"), Some(1932));
        assert_eq!(field(text, "Vm"), None);
    }
}
