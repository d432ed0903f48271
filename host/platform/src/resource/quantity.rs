//! Amounts of processors and memory as Kubernetes writes them. `1000m` and `1` are the same, and no reason to build.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount; equal to another of the same size, however it is written.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// As it was written.
    text: String,
    /// In billionths.
    nanos: i128,
}

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an amount: write a number and, if need be, one of m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei", .0.escape_debug())]
pub struct InvalidQuantity(String);

/// What a suffix multiplies with, in billionths.
fn unit(suffix: &str) -> Option<i128> {
    const ONE: i128 = 1_000_000_000;
    Some(match suffix {
        "n" => 1,
        "u" => 1000,
        "m" => 1_000_000,
        "" => ONE,
        "k" => ONE * 1000,
        "M" => ONE * 1000_i128.pow(2),
        "G" => ONE * 1000_i128.pow(3),
        "T" => ONE * 1000_i128.pow(4),
        "P" => ONE * 1000_i128.pow(5),
        "E" => ONE * 1000_i128.pow(6),
        "Ki" => ONE * 1024,
        "Mi" => ONE * 1024_i128.pow(2),
        "Gi" => ONE * 1024_i128.pow(3),
        "Ti" => ONE * 1024_i128.pow(4),
        "Pi" => ONE * 1024_i128.pow(5),
        "Ei" => ONE * 1024_i128.pow(6),
        _ => return None,
    })
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity(text.chars().take(100).collect());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        // Twelve digits before the point and nine after it cannot run over, whatever the unit.
        let is_good = |digits: &str, most| digits.len() <= most && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_good(whole, 15) || !is_good(part, 9) || whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let unit = unit(suffix).ok_or_else(invalid)?;
        let number = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<i128>() };
        let (whole, digits) = (number(whole).map_err(|_| invalid())?, part.len());
        let part = number(part).map_err(|_| invalid())?;
        let scale = 10_i128.pow(u32::try_from(digits).map_err(|_| invalid())?);
        Ok(Self { text: text.to_owned(), nanos: whole * unit + part * unit / scale })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Quantity {
    /// Its size in billionths: the same text for the same amount.
    pub fn canonical(&self) -> String {
        self.nanos.to_string()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl de::Visitor<'_> for Amount {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as 1, 500m or 2Gi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_by_size() {
        let read = |text: &str| text.parse::<Quantity>().unwrap();
        for (a, b) in
            [("1000m", "1"), ("1.5", "1500m"), ("2G", "2000M"), ("1Gi", "1024Mi"), (".5", "500m"), ("1k", "1000")]
        {
            assert_eq!(read(a), read(b));
        }
        assert!(read("2G") < read("2Gi") && read("1") > read("999m"));
        assert_eq!(read("1000m").to_string(), "1000m");
        for text in ["", "G", "1 G", "-1", "1x", "1.2.3", "1e3e", "9999999999999999999", "1\u{663}"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_amounts_too() {
        assert_eq!(serde_json::from_str::<Quantity>("1").unwrap(), "1000m".parse().unwrap());
        assert_eq!(serde_json::from_str::<Quantity>("0.5").unwrap(), "500m".parse().unwrap());
        assert!(serde_json::from_str::<Quantity>("true").is_err());
    }
}
