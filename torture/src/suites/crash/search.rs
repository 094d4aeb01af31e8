//! The walk over all crash points of a script.

use durable::{CrashSweep, Variant};

use super::Options;
use super::image::Judge;
use super::record::Recording;
use crate::line::Line;
use crate::opening::without_panic;
use crate::random::Random;
use crate::report::{Failure, Report};
use crate::script::Script;
use crate::subject::Subject;

/// One crash: its point and variant, and perhaps a second crash during the recovery.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) point: usize,
    pub(super) variant: Variant,
    pub(super) second: Option<(usize, Variant)>,
}

pub(super) struct Search<'s> {
    pub(super) subject: &'s dyn Subject,
    pub(super) option_set: usize,
    pub(super) options: Options,
    pub(super) variants_a_point: usize,
    /// At most about this many states of one script are visited. Points are skipped evenly to stay below it.
    pub(super) script_states: u64,
    pub(super) report: Report,
}

impl<'s> Search<'s> {
    pub(super) fn new(subject: &'s dyn Subject, option_set: usize, options: &Options) -> Self {
        let (options, report) = (*options, Report::default());
        let variants_a_point = options.variants_a_point;
        let script_states = u64::MAX;
        Self { subject, option_set, options, variants_a_point, script_states, report }
    }

    /// Runs `script` once and visits the crash points from step `from` on.
    pub(super) fn script(&mut self, script: &Script, from: usize) -> Result<(), Failure> {
        self.report.steps += script.0.len() as u64;
        let recording = without_panic(|| Recording::make(self.subject, self.option_set, script));
        let recording = recording.map_err(|what| self.failure(script, None, what))?;
        let first = recording.first_point_of(from);
        let (before, points) = (self.report.states, recording.sim.ops() + 1);
        assert!(first <= points, "a step begins before the run ends");
        let mut sweep = recording.sim.sweep();
        while let Some(point) = sweep.next_point() {
            if point < first {
                continue;
            }
            let share = (point + 1 - first) as f64 / (points - first).max(1) as f64;
            if (self.report.states - before) as f64 > self.script_states as f64 * share {
                continue;
            }
            let mut variants = sweep.all_variants(self.options.random_variants);
            self.sample(&mut variants, self.variants_a_point);
            for variant in variants {
                let site = Site { point, variant, second: None };
                self.state(&recording, &sweep, &site)?;
            }
        }
        Ok(())
    }

    /// Leaves the plainest two of `variants` and some of the others.
    fn sample(&self, variants: &mut Vec<Variant>, most: usize) {
        const PLAINEST: usize = 2;
        let random = Random::new(self.options.seed ^ self.report.states);
        while variants.len() > most.max(PLAINEST) {
            variants.swap_remove(PLAINEST + random.below(variants.len() - PLAINEST));
        }
        assert!(variants.len() <= most.max(PLAINEST), "a sample of {most}");
    }

    /// One state, and the states of a second crash for some.
    pub(super) fn state(
        &mut self,
        recording: &Recording,
        sweep: &CrashSweep,
        site: &Site,
    ) -> Result<(), Failure> {
        self.report.states += 1;
        let number = self.report.states;
        let is_due = |one_in: u64| number.is_multiple_of(one_in.max(1));
        let judge = Judge::new(self.subject, self.option_set, recording, site.point)
            .with_reopening(is_due(self.options.reopen_one_in));
        let judged = without_panic(|| judge.first(sweep, &site.variant));
        judged.map_err(|what| {
            let place = place(recording, sweep, site);
            self.failure(&recording.script, Some(site), format!("after a crash {place}: {what}"))
        })?;
        if is_due(self.options.second_one_in) {
            let most = self.options.second_variants_a_point;
            self.second_crashes(recording, sweep, site, &judge, most)?;
        }
        Ok(())
    }

    /// Lets the process die at each operation of the first opening, and crashes the second one everywhere.
    pub(super) fn openings(&mut self) -> Result<(), Failure> {
        let script = Script::default();
        let recording = without_panic(|| Recording::make(self.subject, self.option_set, &script));
        let recording = recording.map_err(|what| self.failure(&script, None, what))?;
        let mut sweep = recording.sim.sweep();
        while let Some(point) = sweep.next_point() {
            let site = Site { point, variant: Variant::All, second: None };
            let judge = Judge::new(self.subject, self.option_set, &recording, point);
            self.second_crashes(&recording, &sweep, &site, &judge, usize::MAX)?;
        }
        Ok(())
    }

    /// A crash at each operation of the opening that follows the crash `site`, with at most `most` variants of each.
    fn second_crashes(
        &mut self,
        recording: &Recording,
        sweep: &CrashSweep,
        site: &Site,
        judge: &Judge<'_>,
        most: usize,
    ) -> Result<(), Failure> {
        let recovered = without_panic(|| judge.recover(sweep, &site.variant));
        let recovered =
            recovered.map_err(|what| self.failure(&recording.script, Some(site), what))?;
        let mut second = recovered.sim.sweep();
        while let Some(point) = second.next_point() {
            let mut variants = second.all_variants(0);
            self.sample(&mut variants, most);
            for variant in variants {
                self.report.states += 1;
                let judged = without_panic(|| judge.second(&recovered, &second, point, &variant));
                judged.map_err(|what| {
                    let place = place(recording, sweep, site);
                    let again = second.explain(&variant);
                    let what =
                        format!("after a crash {place}, and one at operation {point} of recovery ({again}): {what}");
                    let site = Site { second: Some((point, variant)), ..site.clone() };
                    self.failure(&recording.script, Some(&site), what)
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn failure(&self, script: &Script, site: Option<&Site>, what: String) -> Failure {
        let mut line = Line::new("crash", self.subject.name()).with("options", self.option_set);
        if let Some(site) = site {
            line = line.with("point", site.point).with("variant", &site.variant);
            if let Some((point, variant)) = &site.second {
                line = line.with("second_point", point).with("second_variant", variant);
            }
        }
        Failure { what, replay: line.with_script(script).to_string(), report: self.report }
    }
}

fn place(recording: &Recording, sweep: &CrashSweep, site: &Site) -> String {
    let next = match site.point {
        point if point < recording.sim.ops() => recording.sim.op_name(point),
        _ => "the end".into(),
    };
    format!("before operation {} ({next}) that left {}", site.point, sweep.explain(&site.variant))
}
