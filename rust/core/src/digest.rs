//! The one canonical encoding and the one digest (SHA-256) behind every identity, cache key and resume check.
//!
//! Every item is written as its kind, its length and its bytes, so that no two different sequences of items share an
//! encoding. Floats are canonical: any NaN is one NaN, -0 is 0.

use sha2::{Digest as _, Sha256};

/// Incremental canonical encoder; finish with [`Digest::hex`].
#[derive(Clone, Debug)]
pub struct Digest(Sha256);

impl Digest {
    /// Starts an encoding for things of one `kind`, such as `"candles/1"`.
    pub fn new(kind: &str) -> Self {
        let mut digest = Self(Sha256::new());
        digest.text(kind);
        digest
    }

    fn head(&mut self, tag: u8, len: usize) {
        self.0.update([tag]);
        self.0.update((len as u64).to_le_bytes());
    }

    /// Adds a string.
    pub fn text(&mut self, text: &str) {
        self.head(b't', text.len());
        self.0.update(text.as_bytes());
    }

    /// Adds raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(b'b', bytes.len());
        self.0.update(bytes);
    }

    /// Adds one integer.
    pub fn int(&mut self, value: i64) {
        self.ints(&[value]);
    }

    /// Adds a slice of integers.
    pub fn ints(&mut self, values: &[i64]) {
        self.head(b'i', values.len());
        let mut buffer = Vec::with_capacity(8 * CHUNK);
        for chunk in values.chunks(CHUNK) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
            self.0.update(&buffer);
        }
    }

    /// Adds a slice of floats in canonical form.
    pub fn floats(&mut self, values: &[f64]) {
        self.head(b'f', values.len());
        let mut buffer = Vec::with_capacity(8 * CHUNK);
        for chunk in values.chunks(CHUNK) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|v| canonical(*v).to_bits().to_le_bytes()));
            self.0.update(&buffer);
        }
    }

    /// Adds an optional slice; absent differs from empty.
    pub fn optional_floats(&mut self, values: Option<&[f64]>) {
        match values {
            Some(values) => self.floats(values),
            None => self.head(b'-', 0),
        }
    }

    /// The digest as 64 hexadecimal digits.
    pub fn hex(self) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
        out
    }
}

/// Values converted at once: large enough to amortise the call, small enough to stay in the first-level cache.
const CHUNK: usize = 1024;

fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(f: impl FnOnce(&mut Digest)) -> String {
        let mut digest = Digest::new("test");
        f(&mut digest);
        digest.hex()
    }

    #[test]
    fn items_do_not_run_into_each_other() {
        assert_ne!(
            of(|d| {
                d.text("ab");
                d.text("c");
            }),
            of(|d| {
                d.text("a");
                d.text("bc");
            })
        );
        assert_ne!(
            of(|d| d.ints(&[1, 2])),
            of(|d| {
                d.int(1);
                d.int(2);
            })
        );
        assert_ne!(of(|d| d.optional_floats(None)), of(|d| d.optional_floats(Some(&[]))));
    }

    #[test]
    fn floats_are_canonical() {
        let odd_nan = f64::from_bits(f64::NAN.to_bits() ^ (1 << 63) ^ 1);
        assert!(odd_nan.is_nan());
        assert_eq!(of(|d| d.floats(&[odd_nan, -0.0])), of(|d| d.floats(&[f64::NAN, 0.0])));
        assert_ne!(of(|d| d.floats(&[1.0])), of(|d| d.floats(&[1.0 + f64::EPSILON])));
    }

    /// SHA-256 of the encoding written out by hand, from an independent implementation (Python's hashlib):
    /// `sha256(b"t"+(4).to_bytes(8,"little")+b"test"+b"i"+(1).to_bytes(8,"little")+(7).to_bytes(8,"little"))`.
    #[test]
    fn encoding_is_pinned() {
        assert_eq!(
            of(|d| d.int(7)),
            "9a2879ac9602accd31e377da4ea87a55b26b711304a29cf7deff86bbc06b73fd"
        );
    }
}
