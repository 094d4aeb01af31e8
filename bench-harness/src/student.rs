//! Student's t distribution, from its closed form for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).

use std::f64::consts::FRAC_2_PI;

/// The bisection halves its range this often: more than the digits of a number.
const HALVINGS: u32 = 80;

/// The chance that |t| is at least `t` under the null hypothesis: the two-sided p-value.
pub(crate) fn two_sided(t: f64, degrees: u32) -> f64 {
    assert!(degrees > 0, "a test needs two numbers");
    let angle = (t.abs() / f64::from(degrees).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    let mut term = if is_odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut power = degrees % 2;
    while power + 2 <= degrees {
        sum += term;
        term *= f64::from(power + 1) / f64::from(power + 2) * cos * cos;
        power += 2;
    }
    let within = if is_odd { FRAC_2_PI * (angle + sin * sum) } else { sin * sum };
    let rounding = 1e-9;
    let is_share = (-rounding..=1.0 + rounding).contains(&within);
    debug_assert!(within.is_nan() || is_share, "{within} is a probability");
    (1.0 - within).clamp(0.0, 1.0)
}

/// The t whose two-sided p-value is `level`, which lies between 0 and 1.
pub(crate) fn critical(level: f64, degrees: u32) -> f64 {
    assert!(0.0 < level && level < 1.0, "{level} is no level");
    let mut high = 1.0;
    while two_sided(high, degrees) > level {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, degrees) > level { low = middle } else { high = middle }
    }
    assert!(low <= high && high.is_finite(), "the bisection ends around the quantile");
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_the_textbook() {
        let table = [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (9, 2.262), (30, 2.042)];
        for (degrees, expected) in table {
            let found = critical(0.05, degrees);
            assert!((found - expected).abs() < 6e-4, "{degrees}: {found}");
        }
        assert!((critical(0.001, 4) - 8.610).abs() < 6e-4);
    }

    #[test]
    fn no_difference_is_certain_and_an_endless_one_impossible() {
        for degrees in 1..40 {
            assert!((two_sided(0.0, degrees) - 1.0).abs() < 1e-12);
            assert!(two_sided(f64::INFINITY, degrees) < 1e-12);
        }
    }
}
