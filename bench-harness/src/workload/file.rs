//! Reading a workload file. Every mistake is one line with the file, the line number and, where there is one, the
//! right word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Workload;
use crate::failure::{Failure, Outcome};
use crate::toml_text;

/// The whole file: `[workload.NAME]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    workload: BTreeMap<String, Workload>,
}

/// Reads the workloads of a file called `name` (for messages) with the content `text`.
pub(crate) fn parse(name: &str, text: &str) -> Outcome<BTreeMap<String, Workload>> {
    let file: File = toml_text::parse(name, text)?;
    for (workload_name, workload) in &file.workload {
        if !is_selectable(workload_name) {
            return Err(Failure::usage(format!(
                "{name}: workload {workload_name:?} needs a name of one line without , * | and without @ in front"
            )));
        }
        workload
            .check()
            .map_err(|text| Failure::usage(format!("{name}: workload {workload_name}: {text}")))?;
    }
    Ok(file.workload)
}

/// Whether `--workloads` and the tables can name a workload so.
fn is_selectable(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !matches!(c, ',' | '*' | '|');
    !name.trim().is_empty() && !name.starts_with('@') && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse("own.toml", text).unwrap_err().text
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_the_right_word() {
        let text = "[workload.w]\nabout = \"x\"\nrecrods = 10\n";
        assert_eq!(
            complaint(text),
            "own.toml:3: unknown key \"recrods\"; did you mean \"records\"?"
        );
    }

    #[test]
    fn a_misspelt_distribution_is_an_error_with_the_right_word() {
        let text = "[workload.w]\nabout = \"x\"\nrecords = 10\n[[workload.w.phase]]\nname = \"run\"\nmix = { get = 1 }\nkeys = \"zipfain\"\nops = 1\n";
        assert!(complaint(text).contains("did you mean \"zipfian:0.99\"?"), "{}", complaint(text));
        assert!(complaint(text).starts_with("own.toml:7:"), "{}", complaint(text));
    }

    #[test]
    fn a_phase_without_a_kind_is_refused() {
        let text =
            "[workload.w]\nabout = \"x\"\nrecords = 10\n[[workload.w.phase]]\nname = \"run\"\n";
        assert_eq!(
            complaint(text),
            "own.toml: workload w: phase \"run\" needs exactly one of load, mix, replay, sweep, rest, reopen"
        );
    }

    /// The complaint about a workload with these phases.
    fn complaint_about(phases: &str) -> String {
        complaint(&format!("[workload.w]\nabout = \"x\"\nrecords = 10\nphase = [{phases}]\n"))
    }

    #[test]
    fn a_background_without_weight_or_with_inserts_into_an_input_or_beside_no_mix_is_refused() {
        let refused = |head: &str, phase: &str| {
            let text = format!(
                "[workload.w]\nabout = \"x\"\n{head}\n[[workload.w.phase]]\nname = \"p\"\n{phase}\n"
            );
            parse("own.toml", &text).unwrap_err().text
        };
        let (records, input) = ("records = 10", "input = \"wordnet\"");
        let mix = |background: &str| {
            format!("mix = {{ get = 1 }}\nops = 10\nbackground = {{ {background} }}")
        };
        assert!(refused(records, &mix("")).contains("a mix without any weight"));
        assert!(refused(input, &mix("insert = 1")).contains("keys of an input are finite"));
        let load = "load = \"random\"\nbackground = { put = 1 }";
        assert!(refused(records, load).contains("has a background, but does not mix"));
    }

    #[test]
    fn two_phases_of_one_name_are_refused() {
        let load = "{ name = \"fill\", load = \"random\" }";
        let text = complaint_about(&format!("{load}, {load}"));
        assert_eq!(text, "own.toml: workload w: has two phases with the name \"fill\"");
        for name in ["", " ", "two\\nlines"] {
            let text = complaint_about(&format!("{{ name = \"{name}\", load = \"random\" }}"));
            assert!(text.contains("needs a name of one line"), "{text}");
        }
    }

    #[test]
    fn a_workload_that_no_selector_can_name_is_refused() {
        for name in ["", " ", "@ycsb", "a,b", "ycsb-*", "a|b", "two\\nlines"] {
            let text = format!(
                "[workload.\"{name}\"]\nabout = \"\"\nrecords = 1\nphase = [{{ name = \"l\", load = \"random\" }}]\n"
            );
            assert!(complaint(&text).contains("needs a name of one line"), "{name}");
        }
    }

    #[test]
    fn a_description_of_several_lines_is_refused() {
        let text = "[workload.w]\nabout = \"two\\nlines\"\nrecords = 1\n\
            phase = [{ name = \"l\", load = \"random\" }]\n";
        assert_eq!(complaint(text), "own.toml: workload w: about is one line");
    }

    #[test]
    fn a_scan_longer_than_a_step_can_say_is_refused() {
        for length in ["4000000000", "\"1..1000001\""] {
            let mix = format!("{{ name = \"run\", mix = {{ scan = 1 }}, scan_length = {length} }}");
            assert!(complaint_about(&mix).contains("scan_length above 1,000,000"), "{length}");
        }
    }

    #[test]
    fn a_key_that_a_phase_of_its_kind_does_not_use_is_refused() {
        let load = "load = \"random\"";
        for (kind, key, users) in [
            (load, "threads = 2", "a mix alone uses"),
            (load, "keys = \"uniform\"", "a mix alone uses"),
            (load, "scan_length = 7", "a mix alone uses"),
            (load, "prefix_bytes = 4", "a mix alone uses"),
            (load, "ops = 5", "a mix or a replay alone uses"),
            ("sweep = \"forward\"", "threads = 2", "a mix alone uses"),
            ("sweep = \"forward\"", "duration = \"1s\"", "a mix or a load alone uses"),
            ("rest = \"1s\"", "duration = \"1s\"", "a mix or a load alone uses"),
            ("reopen = true", "ops = 5", "a mix or a replay alone uses"),
        ] {
            let name = key.split_once(' ').unwrap().0;
            let expected = format!("own.toml: workload w: phase \"p\" has {name}, which {users}");
            let phase = format!("{{ name = \"p\", {kind}, {key} }}");
            assert_eq!(complaint_about(&phase), expected);
        }
        let timed = format!(
            "[workload.w]\nabout = \"x\"\nrecords = 10\n\
             phase = [{{ name = \"p\", {load}, duration = \"1s\" }}]\n"
        );
        assert!(parse("own.toml", &timed).is_ok());
    }

    #[test]
    fn a_phase_that_writes_with_more_threads_than_records_is_refused() {
        let phase = |mix: &str| complaint_about(&format!("{{ name = \"run\", ops = 1, {mix} }}"));
        for mix in [
            "threads = 11, mix = { put = 1 }",
            "threads = 11, mix = { get = 1, rmw = 1 }",
            "threads = 10, mix = { get = 1 }, background = { delete = 1 }",
        ] {
            assert!(phase(mix).contains("has more threads than records"), "{mix}");
        }
        for mix in
            ["threads = 10, mix = { put = 1 }", "threads = 11, mix = { get = 1, insert = 1 }"]
        {
            let phase = format!("{{ name = \"run\", ops = 1, {mix} }}");
            let text = format!("[workload.w]\nabout = \"x\"\nrecords = 10\nphase = [{phase}]\n");
            assert!(parse("own.toml", &text).is_ok(), "{mix}");
        }
    }

    #[test]
    fn a_background_without_any_weight_is_refused() {
        let phase = "{ name = \"run\", ops = 1, mix = { get = 1 }, background = {} }";
        assert!(complaint_about(phase).contains("has a mix without any weight"));
    }

    #[test]
    fn broken_toml_is_one_line() {
        assert!(!complaint("[workload.w\nabout =").contains('\n'));
    }
}
