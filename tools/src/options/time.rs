//! Times as text.

/// Parses seconds, such as 90 or 1.5, or minutes and hours too, such as 1:30 or 1:00:00.
pub fn seconds(text: &str) -> Result<f64, String> {
    const EXPECTED: &str = "expected seconds, such as 90, or minutes and seconds, such as 1:30";
    let parts: Vec<&str> = text.split(':').collect();
    let (last, before) = parts.split_last().ok_or(EXPECTED)?;
    let mut seconds = 0.0;
    for (place, part) in before.iter().enumerate() {
        let part: u32 = part.parse().map_err(|_| EXPECTED)?;
        if place > 0 && part >= 60 {
            return Err(EXPECTED.into());
        }
        seconds = 60.0 * (seconds + f64::from(part));
    }
    let last: f64 = last.parse().map_err(|_| EXPECTED)?;
    let within_a_minute = before.is_empty() || last < 60.0;
    let valid = last.is_finite() && last >= 0.0 && within_a_minute && before.len() < 3;
    if valid { Ok(seconds + last) } else { Err(EXPECTED.into()) }
}

/// As [`seconds`], but positive.
pub fn length(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|length| {
        if length > 0.0 { Ok(length) } else { Err("expected more than 0 seconds".into()) }
    })
}

/// Seconds as text, with a tenth if `step` is below a second: as `4.5 s`, or as `1:30` where times reach
/// a minute or more, `end`.
pub fn clock(seconds: f64, step: f64, end: f64) -> String {
    let tenths =
        if step < 1.0 { (seconds * 10.0).round() as u64 } else { 10 * seconds.round() as u64 };
    let (minutes, seconds) =
        if end < 60.0 { (None, tenths / 10) } else { (Some(tenths / 600), tenths / 10 % 60) };
    let part = if step < 1.0 { format!(".{}", tenths % 10) } else { String::new() };
    match minutes {
        None => format!("{seconds}{part} s"),
        Some(minutes) => format!("{minutes}:{seconds:02}{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in
            [("90", 90.0), ("1.5", 1.5), ("1:30", 90.0), ("0:05.5", 5.5), ("1:00:01", 3601.0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in ["", ":", "1:", "1:60", "-1", "1:-3", "inf", "nan", "1:2:3:4", "1:90:00", "a"]
        {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(length("0").is_err());
    }
}
