//! Numbers with units, read and shown: `100k`, `64MiB`, `1.5s`, `412k`, `1.10us`.
//!
//! Shown numbers have three significant digits; that is as much as a run of a few blocks can support.

use std::time::Duration;

/// Numbers from this one on are shown without a power of ten.
const LEAST_PLAIN: f64 = 1e-4;
/// Numbers from this one on are shown with a power of ten.
const LEAST_WITH_POWER: f64 = 1e6;
/// The longest time that is read: about half a year. A clock has room for it.
const LONGEST: Duration = Duration::from_secs(16_000_000);

/// Reads a count: `1000` or, with a point if need be, a number with `k`, `M` or `G` for powers of a thousand.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    parse_scaled(text, &[("k", 1_000), ("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)])
        .ok_or_else(|| format!("\"{text}\" is no count; write 1000, 100k or 1M"))
}

/// Reads a size in bytes: `100` or, with a point if need be, a number with `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB` or `TB`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("TiB", 1 << 40),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    parse_scaled(text, &units)
        .ok_or_else(|| format!("\"{text}\" is no size; write 100, 4KiB or 64MiB"))
}

fn parse_scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, scale) = match unit {
        Some((unit, scale)) => (text.strip_suffix(unit)?.trim_end(), *scale),
        None => (text, 1),
    };
    match digits.split_once('.') {
        None => parse_digits(digits)?.checked_mul(scale),
        Some(parts) if scale > 1 => parse_parts(parts, scale),
        Some(_) => None,
    }
}

/// The digits before and after a point, times `scale`, without the fraction of one that may be left.
fn parse_parts((whole, part): (&str, &str), scale: u64) -> Option<u64> {
    let tenths = 10_u128.checked_pow(part.len().try_into().ok()?)?;
    let all = u128::from(parse_digits(whole)?).checked_mul(tenths)?;
    let all = all.checked_add(u128::from(parse_digits(part)?))?;
    u64::try_from(all.checked_mul(u128::from(scale))? / tenths).ok()
}

/// Digits alone, with `_` between them if need be; no sign.
fn parse_digits(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    text.replace('_', "").parse().ok().filter(|_| is_digits)
}

/// Reads a time: `200ms`, `10s`, `1.5s`, `2m`; not 0.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let seconds = unit.and_then(|(unit, scale)| {
        let number: f64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        Duration::try_from_secs_f64(number * scale).ok().filter(|time| !time.is_zero())
    });
    let time = seconds.ok_or_else(|| {
        format!("\"{text}\" is no time; write a number with ms, s or m: 200ms, 1.5s, 2m")
    })?;
    if time > LONGEST {
        return Err(format!("\"{text}\" is longer than {}s", LONGEST.as_secs()));
    }
    Ok(time)
}

/// A count for people: `999`, `41.2k`, `1.20M`.
pub(crate) fn show_count(value: f64) -> String {
    show_scaled(value, &[(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// A whole count for people: `98`, `20.0k`.
pub(crate) fn show_whole(value: f64) -> String {
    if value < 1e3 { format!("{value:.0}") } else { show_count(value) }
}

/// A time for people, from nanoseconds: `850ns`, `1.10us`, `2.60ms`, `1.05s`.
pub(crate) fn show_ns(value: f64) -> String {
    show_scaled(value, &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")])
}

/// A size for people, in binary units: `31.0M`.
pub(crate) fn show_bytes(value: f64) -> String {
    let mib = f64::from(1 << 20);
    show_scaled(value, &[(mib * 1024.0, "G"), (mib, "M"), (1024.0, "K"), (1.0, "B")])
}

/// A number with three significant digits; with a power of ten where it would be long.
pub(crate) fn show_number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !(LEAST_PLAIN..LEAST_WITH_POWER).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    // Rounded first: 9.996 has one digit before the point, its rounded form two.
    let rounded = format!("{value:.2e}").parse().unwrap_or(value);
    let digits_before = f64::abs(rounded).log10().floor() + 1.0;
    let decimals = (3.0 - digits_before).clamp(0.0, 6.0);
    format!("{value:.*}", floor_to_u64(decimals) as usize)
}

fn show_scaled(value: f64, units: &[(f64, &str)]) -> String {
    // 999.7 rounds to 1000, which belongs to the next unit.
    let unit = units.iter().find(|(scale, _)| value.abs() >= scale * 0.9995);
    match unit.or(units.last()) {
        Some((scale, name)) => format!("{}{name}", show_number(value / scale)),
        None => show_number(value),
    }
}

/// The whole part of a number that is not negative; 0 for one that is.
#[expect(clippy::cast_sign_loss, reason = "a float cast saturates at 0, which is what is meant")]
pub(crate) fn floor_to_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_count("100k"), Ok(100_000));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("1TiB"), Ok(1 << 40));
        assert_eq!(parse_bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_count("1_000"), Ok(1_000));
        assert!(parse_duration("0s").is_err());
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for nonsense in ["", "k", "-1", "1x", "1e400s"] {
            assert!(parse_count(nonsense).is_err(), "{nonsense}");
            assert!(parse_duration(nonsense).is_err(), "{nonsense}");
        }
        assert!(parse_count("99999999999999G").is_err());
    }

    #[test]
    fn sizes_and_counts_may_have_a_point_as_times_may() {
        assert_eq!(parse_bytes("1.5MiB"), Ok(3 << 19));
        assert_eq!(parse_bytes("0.1KiB"), Ok(102));
        assert_eq!(parse_count("2.25M"), Ok(2_250_000));
        for nonsense in ["1.5", "1.5B", ".5k", "1.k", "1.-5k", "+1", "1.2.3k", "99999999999.9G"] {
            assert!(parse_count(nonsense).is_err(), "{nonsense}");
            assert!(parse_bytes(nonsense).is_err(), "{nonsense}");
        }
        assert!(parse_count(&format!("1.{}k", "0".repeat(50))).is_err());
    }

    #[test]
    fn a_time_without_a_unit_is_told_the_units() {
        assert_eq!(
            parse_duration("5").unwrap_err(),
            "\"5\" is no time; write a number with ms, s or m: 200ms, 1.5s, 2m"
        );
    }

    #[test]
    fn a_time_for_which_a_clock_has_no_room_is_refused() {
        assert_eq!(parse_duration("1e19s").unwrap_err(), "\"1e19s\" is longer than 16000000s");
        assert_eq!(parse_duration("16000000.001s").unwrap_err().split(' ').nth(1), Some("is"));
        assert_eq!(parse_duration("16000000s"), Ok(LONGEST));
    }

    #[test]
    fn the_largest_and_the_smallest_numbers_are_shown_with_a_power_of_ten() {
        assert_eq!(show_count(1.096_971_217_9e20), "1.10e11G");
        assert_eq!(show_ns(1e30), "1.00e21s");
        assert_eq!(show_count(2e-9), "2.00e-9");
        assert_eq!(show_number(0.000_123), "0.000123");
        assert_eq!(show_count(9.99e14), "999000G");
        assert!(show_count(f64::INFINITY).len() < 8);
    }

    #[test]
    fn shown_numbers_have_three_significant_digits() {
        assert_eq!(show_count(412_345.0), "412k");
        assert_eq!(show_count(999_700.0), "1.00M");
        assert_eq!(show_ns(1_100.0), "1.10us");
        assert_eq!(show_ns(25.0), "25.0ns");
        assert_eq!(show_bytes(32_505_856.0), "31.0M");
        assert_eq!(show_number(0.0), "0");
    }
}
