//! The state of an engine as bytes, and back.

use super::super::node::{Reader, Visit, Writer};
use super::{Engine, State, Ticks};
use crate::bars::FARTHEST_MS;
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

    /// Whether what was read are times and counts that bars can lead to: anybody can make a checksum, and sums of times
    /// must stay within the integers.
    fn is_sound(&self) -> bool {
        let within =
            |time: &i64| *time == i64::MIN || time.unsigned_abs() <= FARTHEST_MS.unsigned_abs();
        let long = |clock: &Ticks| {
            clock.long.as_ref().is_none_or(|long| {
                let most = FARTHEST_MS / clock.interval_ms;
                long.at.unsigned_abs() <= most.unsigned_abs()
                    && (0..=1).contains(&long.live)
                    && (0..=2).contains(&long.whole)
            })
        };
        let step = |state: &State| match state {
            State::Node(_) => true,
            State::Hold { time, .. } => within(time),
        };
        (0..=FARTHEST_MS).contains(&self.bars)
            && self.last.iter().all(within)
            && self.clocks.iter().all(long)
            && self.states.iter().all(step)
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
        if reader.finish().is_err() || !fresh.is_sound() {
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
        // Times beyond all calendars, whose sums would leave the integers.
        let mut forged = good[..good.len() - 64].to_vec();
        // Behind the length and bytes of what the caller keeps: the number of bars, then the last time.
        let last = MAGIC.len() + 4 + 64 + 8 + 3 + 8;
        forged[last..last + 8].copy_from_slice(&(i64::MAX - 1).to_le_bytes());
        forged.extend(checksum(&forged).as_bytes());
        let refused = e.restored(&forged, "rebuild it").err().unwrap();
        assert_eq!(
            refused.to_string(),
            "snapshot does not hold the state of these features: rebuild it"
        );
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
