//! Reading schedules.

use super::{RULES, Schedule, Step, Verdict, Victim};

/// Reads schedules. The head of [`ISOLATION`](super::ISOLATION) documents the notation.
///
/// # Errors
/// The number of the first line that is malformed, and why.
pub fn parse(text: &str) -> Result<Vec<Schedule>, String> {
    let mut schedules: Vec<Schedule> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (content, is_indented) = (line.trim(), line.starts_with(' '));
        let located = |why: String| format!("line {}: {why}", at + 1);
        // A comment, or the gap between two schedules.
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if is_indented {
            let schedule = schedules.last_mut();
            let schedule = schedule.ok_or_else(|| located("no schedule has begun".into()))?;
            read_line(schedule, content).map_err(located)?;
        } else if schedules.iter().any(|schedule| schedule.name == content) {
            return Err(located(format!("a second schedule {content}")));
        } else {
            schedules.push(new_schedule(content));
        }
    }
    schedules.iter().try_for_each(check)?;
    Ok(schedules)
}

fn new_schedule(name: &str) -> Schedule {
    Schedule {
        name: name.into(),
        about: String::new(),
        setup: Vec::new(),
        steps: Vec::new(),
        rules: RULES.to_vec(),
        verdicts: Vec::new(),
    }
}

/// Reads one line of a schedule.
fn read_line(schedule: &mut Schedule, line: &str) -> Result<(), String> {
    let field = line.split_once(": ").filter(|(name, _)| !name.contains(' '));
    match field {
        Some(("setup", entries)) => {
            for entry in entries.split_whitespace() {
                let parts = entry.split_once('=').ok_or(format!("`{entry}` is no entry"))?;
                schedule.setup.push((parts.0.into(), parts.1.into()));
            }
        }
        Some(("steps", steps)) => {
            for step in steps.split(';') {
                schedule.steps.push(Step::parse(step.trim())?);
            }
        }
        Some(("only", rules)) => schedule.rules = read_rules(rules)?,
        Some(("lost", "none")) => {}
        Some(("lost", verdicts)) => {
            for verdict in verdicts.split(';') {
                schedule.verdicts.push(read_verdict(verdict.trim())?);
            }
        }
        // A sentence may have a colon as well, but begins with a capital.
        Some((field, _)) if field.chars().all(|c| c.is_ascii_lowercase()) => {
            return Err(format!("no field is called {field}"));
        }
        _ => push_sentence(schedule, line),
    }
    Ok(())
}

fn push_sentence(schedule: &mut Schedule, line: &str) {
    if !schedule.about.is_empty() {
        schedule.about.push(' ');
    }
    schedule.about.push_str(line);
}

/// Reads `T2w T3 in all but rsv`.
fn read_verdict(text: &str) -> Result<Verdict, String> {
    let (victims, rules) = text.split_once(" in ").ok_or(format!("`{text}` is no verdict"))?;
    let victims = victims.split_whitespace().map(read_victim).collect::<Result<_, _>>()?;
    Ok(Verdict { victims, rules: read_rules(rules)? })
}

fn read_victim(text: &str) -> Result<Victim, String> {
    let number = text.strip_prefix('T').unwrap_or(text);
    let (number, is_write_conflict) = match number.strip_suffix('w') {
        Some(number) => (number, true),
        None => (number, false),
    };
    let transaction = number.parse().map_err(|_| format!("`{text}` is no transaction"))?;
    Ok(Victim { transaction, is_write_conflict })
}

/// Reads `all`, `all but si rsv` or `si rsv`.
fn read_rules(text: &str) -> Result<Vec<&'static str>, String> {
    if text == "all" {
        return Ok(RULES.to_vec());
    }
    let (is_all_but, names) = match text.strip_prefix("all but ") {
        Some(names) => (true, names),
        None => (false, text),
    };
    let known = |name: &&str| RULES.contains(name);
    if let Some(unknown) = names.split_whitespace().find(|name| !known(name)) {
        return Err(format!("no rule is called {unknown}"));
    }
    let is_named = |rule: &&&str| names.split_whitespace().any(|name| name == **rule);
    Ok(RULES.iter().filter(|rule| is_named(rule) != is_all_but).copied().collect())
}

/// Whether a schedule makes sense as a whole.
fn check(schedule: &Schedule) -> Result<(), String> {
    let broken = |why: &str| Err(format!("schedule {}: {why}", schedule.name));
    if schedule.steps.is_empty() {
        return broken("no steps");
    }
    if schedule.about.is_empty() {
        return broken("no sentence says what it shows");
    }
    let victims = schedule.verdicts.iter().flat_map(|verdict| &verdict.victims);
    let mut victims = victims.map(|victim| victim.transaction);
    if victims.any(|victim| schedule.steps.iter().all(|(transaction, _)| *transaction != victim)) {
        return broken("a transaction without steps loses");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::ISOLATION;

    #[test]
    fn the_text_has_the_forty_schedules_of_the_literature_first() {
        let schedules = parse(ISOLATION).unwrap();
        assert_eq!(schedules.iter().position(|schedule| schedule.name == "INSERT-SCAN"), Some(40));
        let named = |name: &str| schedules.iter().find(|schedule| schedule.name == name).unwrap();
        let victims = |name: &str, rule| -> Vec<u64> {
            named(name).victims(rule).iter().map(|victim| victim.transaction).collect()
        };
        assert_eq!(victims("G2-3", "cahill"), [2, 3]);
        assert_eq!(victims("G2-ITEM", "si"), [0; 0]);
        assert_eq!(victims("G2-ITEM", "ssi"), [2]);
        assert!(named("P4").victims("si")[0].is_write_conflict);
        assert!(!named("P4").victims("rsv")[0].is_write_conflict);
        assert_eq!(named("OWN-WRITES").steps.len(), 15, "lines of steps are joined");
        assert!(!named("MARK").has_verdict_for("ssi"));
    }

    #[test]
    fn a_malformed_text_is_refused_with_its_line() {
        let table = [
            ("  steps: 1c", "line 1: no schedule has begun"),
            ("A\n  sentence\n  steps: 1x", "line 3: `1x` is no step"),
            ("A\n  sentence\n  steps: 1c\nA", "line 4: a second schedule A"),
            ("A\n  sentence\n  steps: 1c\n  lost: T1 in none", "line 4: no rule is called none"),
            ("A\n  sentence\n  steps: 1c\n  wins: T1", "line 4: no field is called wins"),
            ("A\n  sentence\n  steps: 1c\n  lost: T2 in all", "schedule A: a transaction without"),
            ("A\n  sentence", "schedule A: no steps"),
            ("A\n  steps: 1c", "schedule A: no sentence"),
        ];
        for (text, expected) in table {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
