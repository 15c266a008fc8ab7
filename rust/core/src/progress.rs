//! What is seen of a long job from outside, and how it is asked to stop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How far a job is, and whether it was asked to stop; seen and set from outside while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Parts that are finished: combinations of a sweep, resamples, pairs of halves.
    pub done: AtomicUsize,
    /// Set to end the job after the parts that are running.
    pub cancel: AtomicBool,
}

impl Progress {
    /// Whether the job was asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Counts finished parts.
    pub(crate) fn add(&self, parts: usize) {
        self.done.fetch_add(parts, Ordering::Relaxed);
    }
}
