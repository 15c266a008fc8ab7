//! The state of an engine as bytes, and back.

use super::super::node::{Reader, Visit, Writer};
use super::{Engine, State};
use crate::digest::Digest;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"BPFEATS\n";
/// Format of snapshots; raised when state or its order changes.
pub const SNAPSHOT_FORMAT: u32 = 2;

impl Engine {
    fn visit(&mut self, state: &mut dyn Visit) {
        state.int(&mut self.bars);
        for last in &mut self.last {
            state.int(last);
        }
        for long in self.clocks.iter_mut().filter_map(|c| c.long.as_mut()) {
            for number in [&mut long.at, &mut long.live, &mut long.whole] {
                state.int(number);
            }
            state.floats(&mut long.values);
            state.floats(&mut long.extra);
        }
        for step in &mut self.states {
            match step {
                State::Node(node) => node.visit(state),
                State::Hold { last, time, .. } => {
                    state.float(last);
                    state.int(time);
                }
            }
        }
    }

    /// What the engine is: features, symbols and interval.
    fn identity(&self) -> String {
        let mut digest = Digest::new("feature stream/1");
        for name in self.graph.names().iter().chain(&self.graph.own).chain(&self.feeds) {
            digest.text(name);
        }
        digest.int(self.interval_ms);
        digest.hex()
    }

    /// The state as bytes: magic, format, identity, length and bytes of `more`, state, checksum.
    ///
    /// `more` is what the caller keeps beside the engine. Bars that wait for one of the first symbol are run before.
    pub fn snapshot(&mut self, more: &[u8]) -> Vec<u8> {
        self.run();
        self.clear();
        let mut writer = Writer::default();
        writer.bytes.extend(MAGIC);
        writer.bytes.extend(SNAPSHOT_FORMAT.to_le_bytes());
        writer.bytes.extend(self.identity().as_bytes());
        writer.bytes.extend((more.len() as u64).to_le_bytes());
        writer.bytes.extend(more);
        self.visit(&mut writer);
        let sum = checksum(&writer.bytes);
        writer.bytes.extend(sum.as_bytes());
        writer.bytes
    }

    /// An engine of the same features that goes on from a snapshot, and what the caller kept beside it; `needed` says
    /// what a rebuild takes.
    pub fn restored(&self, bytes: &[u8], needed: &str) -> Result<(Self, Vec<u8>)> {
        let refuse = |why: &str| Err(Error::Feature(format!("snapshot {why}: {needed}")));
        let head = MAGIC.len();
        if bytes.len() < head + 4 + 64 + 8 + 64 || bytes[..head] != *MAGIC {
            return refuse("is not one of a feature stream");
        }
        let format =
            u32::from_le_bytes([bytes[head], bytes[head + 1], bytes[head + 2], bytes[head + 3]]);
        if format != SNAPSHOT_FORMAT {
            return refuse(&format!("has format {format}, this version reads {SNAPSHOT_FORMAT}"));
        }
        let (body, sum) = bytes.split_at(bytes.len() - 64);
        if checksum(body).as_bytes() != sum {
            return refuse("is damaged");
        }
        let (identity, payload) = body[head + 4..].split_at(64);
        if identity != self.identity().as_bytes() {
            return refuse("is of other features, symbols or another interval");
        }
        let (length, payload) = payload.split_at(8);
        let length = length.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let Some((more, payload)) =
            usize::try_from(length).ok().and_then(|n| payload.split_at_checked(n))
        else {
            return refuse("is damaged");
        };
        let mut fresh = Self::new(self.graph.clone(), &self.feeds[0], self.interval_ms)?;
        let mut reader = Reader::new(payload);
        fresh.visit(&mut reader);
        if reader.finish().is_err() {
            return refuse("does not hold the state of these features");
        }
        Ok((fresh, more.to_vec()))
    }
}

fn checksum(bytes: &[u8]) -> String {
    let mut digest = Digest::new("checksum/1");
    digest.bytes(bytes);
    digest.hex()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{engine, row};
    use super::*;

    #[test]
    fn foreign_bytes_are_refused_with_what_a_rebuild_takes() {
        let mut e = engine(&["ema(3)"]);
        row(&mut e, 0, 1.0);
        let good = e.snapshot(b"abc");
        for end in 0..good.len() {
            let refused = e.restored(&good[..end], "rebuild it").err().unwrap().to_string();
            assert!(refused.starts_with("snapshot ") && refused.ends_with(": rebuild it"));
        }
        let other = engine(&["ema(4)"]).restored(&good, "rebuild it").err().unwrap();
        assert_eq!(
            other.to_string(),
            "snapshot is of other features, symbols or another interval: rebuild it"
        );
        // A length that a forger wrote, with a checksum that fits.
        let mut forged = good[..good.len() - 64].to_vec();
        let at = MAGIC.len() + 4 + 64;
        forged[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        forged.extend(checksum(&forged).as_bytes());
        let refused = e.restored(&forged, "rebuild it").err().unwrap();
        assert_eq!(refused.to_string(), "snapshot is damaged: rebuild it");
        // Bytes that are no state of these features.
        let mut long = good[..good.len() - 64].to_vec();
        long.push(0);
        long.extend(checksum(&long).as_bytes());
        let refused = e.restored(&long, "rebuild it").err().unwrap();
        assert_eq!(
            refused.to_string(),
            "snapshot does not hold the state of these features: rebuild it"
        );
    }
}
